"""A study as a program of its own, to be killed: `python study_driver.py SEEDS EPOCHS` in a project's folder."""

import sys

from study_project import run_study

if __name__ == "__main__":
    run_study(int(sys.argv[1]), epochs=int(sys.argv[2]))
