# Prepares a bash shell for aim_ros: source it from any folder, as often as you like.
#
# It activates the virtual environment that tools/setup.sh made, points ROS and Vulkan at what
# lies in there, and adds the packages that colcon built in this checkout. With a ROS 2
# installation, source that first.

if [ -z "${BASH_VERSION:-}" ]; then
  echo 'env.sh: source this file from bash' >&2
  return 1
fi

_aim_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

_aim_prepend() {  # NAME FOLDER: puts the folder first in the list once
  local list=":${!1:-}:"
  list=${list//:"$2":/:}
  list=${list#:}
  export "$1=$2${list:+:${list%:}}"
}

if [ ! -f "$_aim_root/.venv/bin/activate" ]; then
  echo "env.sh: there is no $_aim_root/.venv: run 'make setup' first" >&2
  unset -f _aim_prepend
  unset _aim_root
  return 1
fi
source "$_aim_root/.venv/bin/activate"

if [ -d "$_aim_root/.venv/share/rclpy" ]; then
  for _aim_folder in "$_aim_root"/.venv/lib/python3*/site-packages/ros_*.libs "$_aim_root/.venv/lib"; do
    _aim_prepend LD_LIBRARY_PATH "$_aim_folder"
  done
  _aim_prepend AMENT_PREFIX_PATH "$_aim_root/.venv"
  _aim_prepend CMAKE_PREFIX_PATH "$_aim_root/.venv"
  # The wheels would start each Python a second time to set the library path, which is done here.
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi

if [ -f "$_aim_root/.venv/vulkan/icd.json" ]; then
  _aim_prepend LD_LIBRARY_PATH "$_aim_root/.venv/vulkan/lib"
  export VK_DRIVER_FILES="${VK_DRIVER_FILES:-$_aim_root/.venv/vulkan/icd.json}"
fi

export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"

if [ -f "$_aim_root/install/local_setup.bash" ]; then
  source "$_aim_root/install/local_setup.bash"
fi

unset -f _aim_prepend
unset _aim_root _aim_folder
