// What the kernel's drivers answer when they are asked for their hardware: part of render-node.c.
#include <drm/asahi_drm.h>
#include <drm/i915_drm.h>
#include <drm/nouveau_drm.h>

// ---- nouveau ----------------------------------------------------------------------------------------------------

// Channels tell their classes: copy, 2D, 3D, compute, inline to memory.
static const struct { uint32_t from; int32_t classes[5]; } CLASSES[] = {
  { 0x1b0, { 0xcab5, 0x902d, 0xce97, 0xcec0, 0xa140 } }, { 0x1a0, { 0xc9b5, 0x902d, 0xcd97, 0xcdc0, 0xa140 } },
  { 0x190, { 0xc7b5, 0x902d, 0xc997, 0xc9c0, 0xa140 } }, { 0x180, { 0xc8b5, 0x902d, 0xcb97, 0xcbc0, 0xa140 } },
  { 0x172, { 0xc7b5, 0x902d, 0xc797, 0xc7c0, 0xa140 } }, { 0x170, { 0xc6b5, 0x902d, 0xc697, 0xc6c0, 0xa140 } },
  { 0x160, { 0xc5b5, 0x902d, 0xc597, 0xc5c0, 0xa140 } }, { 0x140, { 0xc3b5, 0x902d, 0xc397, 0xc3c0, 0xa140 } },
};

struct nvif { uint8_t version, type, pad[4], owner, route; uint64_t token, object; uint8_t data[]; };
enum { NVIF_SCLASS = 1, NVIF_NEW = 2, NVIF_MTHD = 4 };

static int nvif(struct nvif *a) {
  if (a->type == NVIF_SCLASS) {
    struct { uint8_t version, count, pad[6]; struct { int32_t oclass; int16_t least, most; } entry[]; } *s = (void *)a->data;
    const int32_t *classes = CLASSES[7].classes;
    for (int i = 7; i >= 0; i--) if (chip >= CLASSES[i].from) classes = CLASSES[i].classes;
    for (int i = 0; i < 5 && i < s->count; i++) {
      s->entry[i].oclass = classes[i];
      s->entry[i].least = s->entry[i].most = -1;
    }
    s->count = 5;
  } else if (a->type == NVIF_MTHD) {
    struct { uint8_t version, method, pad[6]; } *m = (void *)a->data;
    if (m->method == 0) {  // device information
      struct { uint8_t version, platform; uint16_t chipset; uint8_t revision, family, pad[2]; uint64_t size, user; char chip[16], name[64]; } *info = (void *)(m + 1);
      info->platform = 3;
      info->chipset = (uint16_t)chip;
      info->size = info->user = 8ull << 30;
      snprintf(info->chip, sizeof info->chip, "NV%x", chip);
      snprintf(info->name, sizeof info->name, "NV%x without hardware", chip);
    }
  }
  return 0;
}

static int nouveau(unsigned nr, void *arg) {
  switch (nr) {
    case 0x00: {
      struct drm_nouveau_getparam *p = arg;
      switch (p->param) {
        case 3: p->value = 0x10de; return 0;
        case 4: p->value = 0x2204; return 0;
        case 5: p->value = 2; return 0;
        case 8: p->value = 8ull << 30; return 0;
        case 9: p->value = 64ull << 30; return 0;
        case 11: p->value = chip; return 0;
        case 13: p->value = 0x00002a07; return 0;  // 7 GPC, 42 TPC
        case 14: p->value = 1; return 0;
        case 15: p->value = 1; return 0;
        case 17: p->value = 510; return 0;
        case 18: p->value = 8ull << 30; return 0;
        case 19: p->value = 1 << 20; return 0;
        case 20: p->value = 1; return 0;
        default: return -EINVAL;
      }
    }
    case 0x02: {
      struct drm_nouveau_channel_alloc *c = arg;
      static int channel = 1;
      c->channel = channel++;
      c->pushbuf_domains = NOUVEAU_GEM_DOMAIN_VRAM | NOUVEAU_GEM_DOMAIN_GART;
      c->notifier_handle = newObject(4096, NULL);
      return 0;
    }
    case 0x07: return nvif(arg);
    case 0x13: return -EINVAL;  // depth culling is not told
    case 0x40: {
      struct drm_nouveau_gem_new *g = arg;
      uint64_t offset;
      g->info.handle = newObject(g->info.size, &offset);
      g->info.map_handle = offset;
      g->info.offset = offset;
      return 0;
    }
    case 0x44: {
      struct drm_nouveau_gem_info *g = arg;
      g->size = objects[g->handle & 0xffff].size;
      g->offset = g->map_handle = objects[g->handle & 0xffff].offset;
      return 0;
    }
    default: return 0;
  }
}

// ---- i915 -------------------------------------------------------------------------------------------------------

/** Render slices of 8 dual subslices of 16 units: enough that the driver finds a topology of every generation. */
static int topology(struct drm_i915_query_item *item) {
  const unsigned slices = 1, subslices = 8, units = 16;
  const int length = (int)(sizeof(struct drm_i915_query_topology_info) + 1 + slices * 1 + slices * subslices * 2);
  if (item->length == 0) { item->length = length; return 0; }
  struct drm_i915_query_topology_info *t = (void *)(uintptr_t)item->data_ptr;
  memset(t, 0, (size_t)length);
  t->max_slices = slices;
  t->max_subslices = subslices;
  t->max_eus_per_subslice = units;
  t->subslice_offset = 1;
  t->subslice_stride = 1;
  t->eu_offset = 1 + slices;
  t->eu_stride = 2;
  t->data[0] = 1;
  t->data[1] = 0xff;
  memset(t->data + t->eu_offset, 0xff, subslices * 2);
  item->length = length;
  return 0;
}

static void queryItem(struct drm_i915_query_item *item) {
  switch (item->query_id) {
    case DRM_I915_QUERY_TOPOLOGY_INFO:
    case DRM_I915_QUERY_GEOMETRY_SUBSLICES: topology(item); return;
    case DRM_I915_QUERY_ENGINE_INFO: {
      const int length = (int)(sizeof(struct drm_i915_query_engine_info) + 2 * sizeof(struct drm_i915_engine_info));
      if (item->length == 0) { item->length = length; return; }
      struct drm_i915_query_engine_info *e = (void *)(uintptr_t)item->data_ptr;
      memset(e, 0, (size_t)length);
      e->num_engines = 2;
      e->engines[0].engine.engine_class = I915_ENGINE_CLASS_RENDER;
      e->engines[1].engine.engine_class = I915_ENGINE_CLASS_COPY;
      return;
    }
    case DRM_I915_QUERY_MEMORY_REGIONS: {
      const int regions = getenv("RENDER_NODE_MEMORY") && *getenv("RENDER_NODE_MEMORY") ? 2 : 1;
      const int length = (int)(sizeof(struct drm_i915_query_memory_regions) + (size_t)regions * sizeof(struct drm_i915_memory_region_info));
      if (item->length == 0) { item->length = length; return; }
      struct drm_i915_query_memory_regions *m = (void *)(uintptr_t)item->data_ptr;
      memset(m, 0, (size_t)length);
      m->num_regions = (uint32_t)regions;
      for (int i = 0; i < regions; i++) {
        m->regions[i].region.memory_class = i ? I915_MEMORY_CLASS_DEVICE : I915_MEMORY_CLASS_SYSTEM;
        m->regions[i].probed_size = 8ull << 30;
        m->regions[i].unallocated_size = 8ull << 30;
      }
      return;
    }
    default: item->length = -EINVAL;
  }
}

static int i915(unsigned nr, void *arg) {
  switch (nr) {
    case DRM_I915_GETPARAM: {
      struct drm_i915_getparam *p = arg;
      switch (p->param) {
        case I915_PARAM_CHIPSET_ID: *p->value = (int)chip; return 0;
        case I915_PARAM_REVISION: *p->value = 8; return 0;
        case I915_PARAM_CS_TIMESTAMP_FREQUENCY: *p->value = 19200000; return 0;
        case I915_PARAM_HAS_ALIASING_PPGTT: *p->value = 3; return 0;
        case I915_PARAM_MMAP_VERSION: case I915_PARAM_MMAP_GTT_VERSION: *p->value = 4; return 0;
        case I915_PARAM_CMD_PARSER_VERSION: *p->value = 10; return 0;
        case I915_PARAM_SUBSLICE_TOTAL: *p->value = 8; return 0;
        case I915_PARAM_EU_TOTAL: *p->value = 128; return 0;
        case I915_PARAM_NUM_FENCES_AVAIL: *p->value = 32; return 0;
        case I915_PARAM_PERF_REVISION: *p->value = 3; return 0;
        case I915_PARAM_HAS_USERPTR_PROBE: *p->value = 0; return 0;
        default: *p->value = 1; return 0;
      }
    }
    case DRM_I915_QUERY: {
      struct drm_i915_query *q = arg;
      struct drm_i915_query_item *items = (void *)(uintptr_t)q->items_ptr;
      for (uint32_t i = 0; i < q->num_items; i++) queryItem(&items[i]);
      return 0;
    }
    case DRM_I915_GEM_CREATE:
    case DRM_I915_GEM_CREATE_EXT: {  // its structure begins alike
      struct drm_i915_gem_create *c = arg;
      c->handle = newObject(c->size, NULL);
      return 0;
    }
    case DRM_I915_GEM_USERPTR: {
      struct drm_i915_gem_userptr *u = arg;
      u->handle = newObject(u->user_size, NULL);
      return 0;
    }
    case DRM_I915_GEM_MMAP_GTT: {  // and MMAP_OFFSET
      struct drm_i915_gem_mmap_offset *m = arg;
      m->offset = objects[m->handle & 0xffff].offset;
      return 0;
    }
    case DRM_I915_GEM_CONTEXT_CREATE: ((struct drm_i915_gem_context_create *)arg)->ctx_id = nextHandle++; return 0;
    case DRM_I915_GEM_CONTEXT_GETPARAM: {
      struct drm_i915_gem_context_param *p = arg;
      p->value = p->param == I915_CONTEXT_PARAM_GTT_SIZE ? 1ull << 48 : 0;
      return 0;
    }
    case DRM_I915_GEM_GET_APERTURE: {
      struct drm_i915_gem_get_aperture *a = arg;
      a->aper_size = a->aper_available_size = 1ull << 36;
      return 0;
    }
    case DRM_I915_GEM_VM_CREATE: ((struct drm_i915_gem_vm_control *)arg)->vm_id = nextHandle++; return 0;
    case DRM_I915_REG_READ: ((struct drm_i915_reg_read *)arg)->val = 1; return 0;
    default: return 0;
  }
}

// ---- asahi ------------------------------------------------------------------------------------------------------

static int asahi(unsigned nr, void *arg) {
  switch (nr) {
    case DRM_ASAHI_GET_PARAMS: {
      struct drm_asahi_get_params *g = arg;
      struct drm_asahi_params_global p = { 0 };
      p.gpu_generation = chip >> 8 ? chip >> 8 : 13;   // G13 (M1), G14 (M2)
      p.gpu_variant = 'G';
      p.gpu_revision = 0x11;
      p.chip_id = 0x8103;
      p.num_dies = 1;
      p.num_clusters_total = 1;
      p.num_cores_per_cluster = 8;
      p.core_masks[0] = 0xff;
      p.vm_start = 0x8000;
      p.vm_end = 1ull << 39;
      p.vm_kernel_min_size = 0x20000000;
      p.max_commands_per_submission = 64;
      p.max_attachments = 16;
      p.max_frequency_khz = 1278000;
      p.command_timestamp_frequency_hz = 1000000000;
      memcpy((void *)(uintptr_t)g->pointer, &p, g->size < sizeof p ? g->size : sizeof p);
      g->size = sizeof p;
      return 0;
    }
    case DRM_ASAHI_GET_TIME: ((struct drm_asahi_get_time *)arg)->gpu_timestamp = 1; return 0;
    case DRM_ASAHI_VM_CREATE: ((struct drm_asahi_vm_create *)arg)->vm_id = nextHandle++; return 0;
    case DRM_ASAHI_QUEUE_CREATE: ((struct drm_asahi_queue_create *)arg)->queue_id = nextHandle++; return 0;
    case DRM_ASAHI_GEM_CREATE: {
      struct drm_asahi_gem_create *c = arg;
      c->handle = newObject(c->size, NULL);
      return 0;
    }
    case DRM_ASAHI_GEM_MMAP_OFFSET: {
      struct drm_asahi_gem_mmap_offset *m = arg;
      m->offset = objects[m->handle & 0xffff].offset;
      return 0;
    }
    default: return 0;
  }
}
