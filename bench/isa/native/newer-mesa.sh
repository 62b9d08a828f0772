#!/bin/bash
# A root folder with a newer Mesa than Debian 12 has, once: its compilers for NVIDIA (NVK), Intel (ANV) and Apple (Honeykrisp).
#   newer-mesa.sh FOLDER        about 1 GB and a few minutes; as root, with debootstrap
set -euo pipefail
root=${1:?usage: newer-mesa.sh FOLDER}
mirror=${MIRROR:-http://deb.debian.org/debian}
packages=(mesa-vulkan-drivers libvulkan1 libvulkan-dev libdrm-dev nodejs gcc libc6-dev ca-certificates)
if [ ! -e "$root/usr/bin/apt-get" ]; then
  debootstrap --variant=minbase --include="$(IFS=, && echo "${packages[*]}")" sid "$root" "$mirror"
elif [ ! -e "$root/usr/bin/gcc" ] || [ ! -e "$root/usr/bin/node" ]; then
  chroot "$root" apt-get update -q
  chroot "$root" apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
mkdir -p "$root/dev/dri"
[ -e "$root/dev/dri/renderD128" ] || mknod -m 666 "$root/dev/dri/renderD128" c 226 128
