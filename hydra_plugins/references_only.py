"""Hydra imports this folder before it composes `conf/`, also where DVC calls it (`dvc exp run -S KEY=VALUE`).

Of `${...}` only references to other keys are left: `${oc.env:KEY}` would carry a key of the environment into params.yaml.
"""

from omegaconf import OmegaConf

for name in ("create", "decode", "deprecated", "dict.keys", "dict.values", "env", "select"):
    OmegaConf.clear_resolver(f"oc.{name}")
