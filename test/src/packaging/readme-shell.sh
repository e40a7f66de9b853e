# Functions for the shell blocks of a README, in place of steps that take too long to repeat for each README.
# PACKED is the folder where the packages have been packed and installed once.

npm() {
  if [ "$1" != install ]; then
    command npm "$@"
    return
  fi
  shift
  local name
  for name in "$@"; do
    case "$name" in
      -*) ;;
      *.tgz) [ -f "$name" ] || { echo "npm install: there is no file $name" >&2; return 1; } ;;
      *)
        [ -d "$PACKED/node_modules/$name" ] ||
          { echo "npm install: $name is not in the list of packed-packages.ts" >&2; return 1; }
        ;;
    esac
  done
  ln -sfn "$PACKED/node_modules" node_modules
}

npx() {
  case "$*" in
    pnpm@*' pack --pack-destination '*) cp "$PACKED"/tarballs/*.tgz "${@: -1}" ;;
    *) command npx "$@" ;;
  esac
}

save_state() {
  pwd >"$STATE/cwd"
  env -0 >"$STATE/env"
}
