#!/usr/bin/env bash
# Unpacks lavapipe, Mesa's Vulkan driver for the CPU, into FOLDER and leaves the system alone.
#
#   tools/install_mesa.sh FOLDER
#
# apt-get downloads into a state folder of its own, so neither root nor its locks are needed.
# FOLDER gets icd.json, which VK_DRIVER_FILES should name, and lib/ with the driver and only those
# of its libraries that the system lacks. Exit status 3: there is no driver that is new enough.
set -euo pipefail

# Older ones lack VK_KHR_external_semaphore_fd, which SAPIEN insists on.
needed=24.3

export PATH="$PATH:/usr/sbin:/sbin"
target=$1
work=$(mktemp -d)
trap 'rm -rf "$work" "$target.partial"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
options=(
  -q -o Dir::State="$work" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work/cache"
  -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Retries=2
)

newest() {
  apt-cache "${options[@]}" policy mesa-vulkan-drivers | awk '/Candidate:/ {print $2}'
}

is_new_enough() {
  [ "$1" != '(none)' ] && [ -n "$1" ] && dpkg --compare-versions "$1" ge "$needed"
}

use_backports() {  # switches to the backports of the mirror that the machine uses already
  local mirror
  mirror=$(apt-get "${options[@]}" indextargets \
    --format '$(REPO_URI) $(CODENAME) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$VERSION_CODENAME" '$2 == codename && $3 == "Debian" && $4 == "main" {print $1; exit}')
  [ -n "$mirror" ] || return 0
  printf "deb $mirror %s main\n" "$VERSION_CODENAME" "$VERSION_CODENAME-updates" \
    "$VERSION_CODENAME-backports" >"$work/sources.list"
  options+=(-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-
    -o APT::Default-Release="$VERSION_CODENAME-backports")
  apt-get "${options[@]}" update
}

missing_libraries() {  # those that the unpacked driver needs and nobody has in that version
  LD_LIBRARY_PATH="$target.partial/lib" ldd "$target.partial"/lib/*.so* 2>&1 |
    sed -nE 's/^\s*(\S+) => not found.*/\1/p; s/.*\/([^/ ]+): version .* not found.*/\1/p' | sort -u
}

source /etc/os-release
apt-get "${options[@]}" update || true  # a broken source of a third party is no reason to stop
if ! is_new_enough "$(newest)" && [ "$ID" = debian ]; then
  use_backports
fi
version=$(newest)
if ! is_new_enough "$version"; then
  echo "the apt sources of this machine offer mesa-vulkan-drivers $version; $needed or newer is needed"
  exit 3
fi
echo "Mesa $version"
apt-get "${options[@]}" -y --no-install-recommends --download-only --reinstall install mesa-vulkan-drivers

for package in "$work"/cache/archives/*.deb; do
  dpkg-deb -x "$package" "$work/tree"
done
rm -rf "$target.partial" && mkdir -p "$target.partial/lib"
cp -L "$work"/tree/usr/lib/*/libvulkan_lvp.so "$target.partial/lib"
if ! ldconfig -p | grep -F 'libvulkan.so.1 ' >/dev/null; then
  cp -L "$work"/tree/usr/lib/*/libvulkan.so.1 "$target.partial/lib"
fi
missing=$(missing_libraries)
while [ -n "$missing" ]; do
  for library in $missing; do
    found=$(find "$work/tree" -name "$library" | head -n 1)
    if [ -z "$found" ] || [ -e "$target.partial/lib/$library" ]; then
      echo "Mesa $version needs another $library than this system has"
      exit 3
    fi
    cp -L "$found" "$target.partial/lib"
  done
  missing=$(missing_libraries)
done
sed "s#\"library_path\": *\"[^\"]*\"#\"library_path\": \"$target/lib/libvulkan_lvp.so\"#" \
  "$work"/tree/usr/share/vulkan/icd.d/lvp_icd*.json >"$target.partial/icd.json"
rm -rf "$target"
mv "$target.partial" "$target"
