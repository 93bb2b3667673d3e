"""Your own code: the networks (and callbacks of Lightning) that a configuration may name. It runs with your rights.

    MODELS = {"small_resnet": small_resnet}    # regatta run model=module model.name=small_resnet
    BACKBONES = {"features": features}         # regatta run model.backbone=features:FILE

A model is a function (shape, num_outputs, *, KEYS) that returns a torch module: docs/models.md; a pretrained one makes
features: docs/backbones.md.
"""
