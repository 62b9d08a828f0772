// LD_PRELOAD: a DRM render node without a GPU, so that Mesa's drivers for Vulkan find one and compile for it. RENDER_NODE says
// which: nouveau:CHIPSET (hex: 162 Turing, 172 Ampere, 192 Ada, 1b2 Blackwell), i915:DEVICE (hex PCI id), asahi:CHIP. Every
// ioctl succeeds; those that describe hardware are answered by the kernel's uapi headers, and nothing ever runs. Memory is a
// sparse file, so that mapping works.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <drm/drm.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NODE "/dev/dri/renderD128"
#define MAJOR 226
#define MINOR 128

static char driver[32];
static uint32_t chip;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t nextOffset = 1 << 20;
static uint32_t nextHandle = 1;
static struct { uint64_t offset, size; } objects[1 << 16];
static ino_t inodes[256];
static int numInodes;

__attribute__((constructor)) static void start(void) {
  const char *node = getenv("RENDER_NODE");
  if (node == NULL) return;
  const char *colon = strchr(node, ':');
  snprintf(driver, sizeof driver, "%.*s", (int)(colon ? colon - node : (long)strlen(node)), node);
  chip = colon ? (uint32_t)strtoul(colon + 1, NULL, 16) : 0;
}

static int isNode(const char *path) { return driver[0] && path && strcmp(path, NODE) == 0; }

static int openNode(void) {
  int fd = memfd_create("drm", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, 1ll << 40) < 0) return -1;
  struct stat s;
  static int (*real)(int, struct stat *);
  if (!real) real = dlsym(RTLD_NEXT, "fstat");
  real(fd, &s);
  pthread_mutex_lock(&lock);
  inodes[numInodes++ % 256] = s.st_ino;
  pthread_mutex_unlock(&lock);
  return fd;
}

#define OPEN(name)                                                             \
  int name(const char *path, int flags, ...) {                                 \
    static int (*real)(const char *, int, ...);                                \
    if (!real) real = dlsym(RTLD_NEXT, #name);                                 \
    va_list args;                                                              \
    va_start(args, flags);                                                     \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;          \
    va_end(args);                                                              \
    return isNode(path) ? openNode() : real(path, flags, mode);                \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
  int name(int dir, const char *path, int flags, ...) {                        \
    static int (*real)(int, const char *, int, ...);                           \
    if (!real) real = dlsym(RTLD_NEXT, #name);                                 \
    va_list args;                                                              \
    va_start(args, flags);                                                     \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;          \
    va_end(args);                                                              \
    return isNode(path) ? openNode() : real(dir, path, flags, mode);           \
  }
OPENAT(openat)
OPENAT(openat64)

static int isOurs(ino_t inode) {
  for (int i = 0; i < numInodes && i < 256; i++) if (inodes[i] == inode) return 1;
  return 0;
}

#define FSTAT(name, type)                                                      \
  int name(int fd, struct type *s) {                                           \
    static int (*real)(int, struct type *);                                    \
    if (!real) real = dlsym(RTLD_NEXT, #name);                                 \
    int r = real(fd, s);                                                       \
    if (r == 0 && driver[0] && S_ISREG(s->st_mode) && isOurs(s->st_ino)) {     \
      s->st_mode = S_IFCHR | 0666;                                             \
      s->st_rdev = makedev(MAJOR, MINOR);                                      \
    }                                                                          \
    return r;                                                                  \
  }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

static uint32_t newObject(uint64_t size, uint64_t *offset) {
  pthread_mutex_lock(&lock);
  uint32_t handle = nextHandle++;
  objects[handle & 0xffff].offset = nextOffset;
  objects[handle & 0xffff].size = size;
  if (offset) *offset = nextOffset;
  nextOffset += (size + 0x1fffff) & ~0x1fffffull;
  pthread_mutex_unlock(&lock);
  return handle;
}

#include "drivers.h"

// ---- all --------------------------------------------------------------------------------------------------------

static void text(char *to, __kernel_size_t *length, const char *from) {
  size_t n = strlen(from);
  if (to && *length) memcpy(to, from, n < *length ? n : *length);
  *length = n;
}

static int common(unsigned nr, void *arg) {
  switch (nr) {
    case 0x00: {
      struct drm_version *v = arg;
      v->version_major = 1;
      v->version_minor = !strcmp(driver, "nouveau") ? 4 : !strcmp(driver, "i915") ? 6 : 0;
      v->version_patchlevel = 0;
      text(v->name, &v->name_len, driver);
      text(v->date, &v->date_len, "20260101");
      text(v->desc, &v->desc_len, "none");
      return 0;
    }
    case 0x0c: {
      struct drm_get_cap *c = arg;
      c->value = c->capability == DRM_CAP_PRIME ? 3 : 1;
      return 0;
    }
    case 0x2d: ((struct drm_prime_handle *)arg)->fd = memfd_create("prime", MFD_CLOEXEC); return 0;
    case 0x2e: ((struct drm_prime_handle *)arg)->handle = newObject(1 << 20, NULL); return 0;
    case 0xbf: ((struct drm_syncobj_create *)arg)->handle = nextHandle++; return 0;
    case 0xc1: ((struct drm_syncobj_handle *)arg)->fd = memfd_create("sync", MFD_CLOEXEC); return 0;
    case 0xc2: ((struct drm_syncobj_handle *)arg)->handle = nextHandle++; return 0;
    case 0xcb: {
      struct drm_syncobj_timeline_array *t = arg;
      for (uint32_t i = 0; i < t->count_handles; i++) ((uint64_t *)(uintptr_t)t->points)[i] = 1ull << 40;
      return 0;
    }
    default: return 0;
  }
}

int ioctl(int fd, unsigned long request, ...) {
  static int (*real)(int, unsigned long, ...);
  if (!real) real = dlsym(RTLD_NEXT, "ioctl");
  va_list args;
  va_start(args, request);
  void *arg = va_arg(args, void *);
  va_end(args);
  if (!driver[0] || _IOC_TYPE(request) != DRM_IOCTL_BASE) return real(fd, request, arg);
  const unsigned nr = _IOC_NR(request);
  int r;
  if (nr < DRM_COMMAND_BASE || nr >= DRM_COMMAND_END) r = common(nr, arg);
  else if (!strcmp(driver, "nouveau")) r = nouveau(nr - DRM_COMMAND_BASE, arg);
  else if (!strcmp(driver, "i915")) r = i915(nr - DRM_COMMAND_BASE, arg);
  else if (!strcmp(driver, "asahi")) r = asahi(nr - DRM_COMMAND_BASE, arg);
  else r = -EINVAL;
  if (r < 0) { errno = -r; return -1; }
  return r;
}
