#!/bin/bash
# Runs a command in the folder of newer-mesa.sh, with this checkout and a folder for results at their own places:
#   in-newer-mesa.sh ROOT CHECKOUT OUT VENDOR DEVICE DRIVER VARIABLE=VALUE ... command
# The mounts are the command's own and end with it. What libdrm reads of a device is laid below ROOT/sys before.
set -euo pipefail
root=$1 checkout=$2 out=$3 vendor=$4 device=$5 driver=$6
shift 6
pci=$root/sys/devices/pci0000:00/0000:01:00.0
rm -rf "${root:?}/sys/dev" "$root/sys/devices" "$root/sys/bus"
mkdir -p "$pci/drm/renderD128" "$root/sys/dev/char" "$root/sys/bus/pci/drivers/$driver" "$root/sys/bus/platform"
ln -s "../../../bus/pci/drivers/$driver" "$pci/driver"
if [ "$driver" = asahi ]; then # a platform device, not PCI
  ln -s ../../../bus/platform "$pci/subsystem"
  printf 'DRIVER=asahi\nOF_NAME=gpu\nOF_FULLNAME=/soc/gpu@406400000\nOF_COMPATIBLE_0=apple,agx-g13g\nOF_COMPATIBLE_N=1\n' >"$pci/uevent"
else
  ln -s ../../../bus/pci "$pci/subsystem"
  printf 'DRIVER=%s\nPCI_CLASS=30000\nPCI_ID=%s:%s\nPCI_SUBSYS_ID=0000:0000\nPCI_SLOT_NAME=0000:01:00.0\n' "$driver" "$vendor" "$device" >"$pci/uevent"
fi
echo "0x$vendor" >"$pci/vendor"
echo "0x$device" >"$pci/device"
echo "0x$vendor" >"$pci/subsystem_vendor"
echo 0x0000 >"$pci/subsystem_device"
echo 0x08 >"$pci/revision"
head -c 64 /dev/zero >"$pci/config"
echo 226:128 >"$pci/drm/renderD128/dev"
ln -s ../.. "$pci/drm/renderD128/device"
ln -s ../../devices/pci0000:00/0000:01:00.0/drm/renderD128 "$root/sys/dev/char/226:128"
exec unshare -m bash -c '
  set -e
  root=$1 checkout=$2 out=$3
  shift 3
  mount --bind /proc "$root/proc"
  modules=$(realpath "$checkout/node_modules")
  for folder in "$checkout" "$modules" "$out"; do
    mkdir -p "$root$folder"
    mountpoint -q "$root$folder" || mount --bind "$folder" "$root$folder"
  done
  exec chroot "$root" /usr/bin/env HOME=/tmp XDG_RUNTIME_DIR=/tmp bash -c "cd \"\$0\" && exec env \"\$@\"" "$checkout" "$@"
' bash "$root" "$checkout" "$out" "$@"
