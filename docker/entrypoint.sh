#!/bin/sh
# Runs a command in the image. Before that, for all but the nodes of a cluster (`ray ...`):
# - The current directory becomes a project: its code is a link to the image's, so that a new image brings new code;
#   conf/, hydra_plugins/ and dvc.yaml are the image's, kept up to date; overrides, params.yaml, extensions.py and all
#   results are the directory's own.
#   A project that is there already, such as a mounted clone, is left as it is.
# - REGATTA_JOIN, the words of a `ray start`, makes it a node first: a driver must stand on a node of its cluster.
set -eu
image=$(dirname "$(dirname "$(readlink -f "$0")")")

become_a_project() {
  mkdir -p artifacts/study data runs .dvc
  files="conf hydra_plugins dvc.yaml extensions.py params.yaml .dvc/config .dvcignore"
  # shellcheck disable=SC2086
  (cd "$image" && find $files -type f ! -name '*.pyc') | while read -r file; do
    case $file in
      conf/overrides.yaml | params.yaml | extensions.py) [ ! -e "$file" ] || continue ;;
      *) ! cmp -s "$image/$file" "$file" || continue ;;
    esac
    mkdir -p "$(dirname "$file")"
    cp "$image/$file" "$file.partial-$$"
    mv "$file.partial-$$" "$file"
  done
  [ -e artifacts/study/.gitkeep ] || : > artifacts/study/.gitkeep
  [ -e .dvc/config.local ] || printf '[core]\n    no_scm = true\n' > .dvc/config.local
  [ "$(readlink pipeline)" = "$image/pipeline" ] || ln -sfn "$image/pipeline" pipeline
}

join_the_cluster() {
  log=$(mktemp)
  # shellcheck disable=SC2086
  ray start $REGATTA_JOIN > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
}

if [ "${1:-}" != ray ]; then
  if [ ! -e dvc.yaml ] || [ -L pipeline ]; then become_a_project; fi
  if [ -n "${REGATTA_JOIN:-}" ]; then join_the_cluster; fi
fi
exec "$@"
