"""A study on Ray as a program of its own, to be killed: `python ray_study_driver.py SEEDS EPOCHS [ADDRESS TOKEN_PATH]`."""

import sys

from ray_study_project import run_on_ray

from pipeline.errors import ENDS

if __name__ == "__main__":
    try:
        outcomes = run_on_ray(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
        print(*(outcome.result.failure for outcome in outcomes), sep="\n")
    except ENDS as error:
        print(error)
        sys.exit(error.exit_code)
