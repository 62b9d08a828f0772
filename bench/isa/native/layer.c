// A Vulkan layer for drivers without their hardware. It answers what would reach the hardware (command buffers, submits,
// waits) with success, so that Dawn makes a device, and writes down what the driver's compiler made of each compute
// pipeline, by VK_KHR_pipeline_executable_properties: $ISA_OUT/$ISA_NAME.stats (one "name<TAB>number" a line) and .asm.
// ISA_NAME is read anew for each pipeline, so pipelines have to be made one after the other.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))
#define EXTENSION VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME
#define MOST 64

static PFN_vkGetInstanceProcAddr nextInstance;
static PFN_vkGetDeviceProcAddr nextDevice;
static VkInstance instance;

// ---- hardware that is not there: no signal is ever waited for, each counter is at the value last submitted ----------

static struct { VkSemaphore handle; uint64_t value; } counters[4096];

static void nothing(void) {}
static VkResult success(void) { return VK_SUCCESS; }

static void signalled(VkSemaphore semaphore, uint64_t value) {
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    if (counters[i].handle != VK_NULL_HANDLE && counters[i].handle != semaphore) continue;
    counters[i].handle = semaphore;
    if (counters[i].value < value) counters[i].value = value;
    return;
  }
}

static VkResult submit(VkQueue queue, uint32_t n, const VkSubmitInfo *submits, VkFence fence) {
  (void)queue, (void)fence;
  for (uint32_t i = 0; i < n; i++) {
    for (const VkBaseInStructure *p = submits[i].pNext; p; p = p->pNext) {
      const VkTimelineSemaphoreSubmitInfo *t = (const void *)p;
      if (p->sType != VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO) continue;
      for (uint32_t s = 0; s < t->signalSemaphoreValueCount; s++) {
        signalled(submits[i].pSignalSemaphores[s], t->pSignalSemaphoreValues[s]);
      }
    }
  }
  return VK_SUCCESS;
}

static VkResult submit2(VkQueue queue, uint32_t n, const VkSubmitInfo2 *submits, VkFence fence) {
  (void)queue, (void)fence;
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t s = 0; s < submits[i].signalSemaphoreInfoCount; s++) {
      signalled(submits[i].pSignalSemaphoreInfos[s].semaphore, submits[i].pSignalSemaphoreInfos[s].value);
    }
  }
  return VK_SUCCESS;
}

static VkResult counterValue(VkDevice device, VkSemaphore semaphore, uint64_t *value) {
  (void)device;
  *value = 0;
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    if (counters[i].handle == semaphore) *value = counters[i].value;
  }
  return VK_SUCCESS;
}

static int begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static PFN_vkVoidFunction withoutHardware(const char *name) {
  static const char *const succeed[] = { "vkBeginCommandBuffer", "vkEndCommandBuffer", "vkResetCommand", "vkQueueWaitIdle",
    "vkDeviceWaitIdle", "vkWaitForFences", "vkGetFenceStatus", "vkResetFences", "vkWaitSemaphores", "vkGetQueryPoolResults" };
  if (begins(name, "vkCmd")) return (PFN_vkVoidFunction)nothing;
  for (size_t i = 0; i < sizeof succeed / sizeof *succeed; i++) {
    if (begins(name, succeed[i])) return (PFN_vkVoidFunction)success;
  }
  if (begins(name, "vkQueueSubmit2")) return (PFN_vkVoidFunction)submit2;
  if (begins(name, "vkQueueSubmit")) return (PFN_vkVoidFunction)submit;
  if (begins(name, "vkGetSemaphoreCounterValue")) return (PFN_vkVoidFunction)counterValue;
  return NULL;
}

// ---- what the compiler made ---------------------------------------------------------------------------------------

static FILE *fileOf(const char *end, const char *mode) {
  const char *folder = getenv("ISA_OUT"), *name = getenv("ISA_NAME");
  if (!folder || !name || !*name) return NULL;
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.%s", folder, name, end);
  FILE *file = fopen(path, mode);
  if (!file) fprintf(stderr, "bench:isa: cannot write %s\n", path);
  return file;
}

static void writeStatistics(VkDevice device, const VkPipelineExecutableInfoKHR *which, FILE *to) {
  static VkPipelineExecutableStatisticKHR all[MOST];
  PFN_vkGetPipelineExecutableStatisticsKHR ask = (void *)nextDevice(device, "vkGetPipelineExecutableStatisticsKHR");
  uint32_t n = MOST;
  memset(all, 0, sizeof all);
  for (int i = 0; i < MOST; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  if (!ask || ask(device, which, &n, all) < 0) return;
  for (uint32_t i = 0; i < n; i++) {
    switch (all[i].format) {
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: fprintf(to, "%s\t%u\n", all[i].name, all[i].value.b32); break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: fprintf(to, "%s\t%lld\n", all[i].name, (long long)all[i].value.i64); break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: fprintf(to, "%s\t%llu\n", all[i].name, (unsigned long long)all[i].value.u64); break;
      default: fprintf(to, "%s\t%g\n", all[i].name, all[i].value.f64);
    }
  }
}

static void writeText(VkDevice device, const VkPipelineExecutableInfoKHR *which, const char *mode) {
  static VkPipelineExecutableInternalRepresentationKHR all[MOST];
  PFN_vkGetPipelineExecutableInternalRepresentationsKHR ask =
      (void *)nextDevice(device, "vkGetPipelineExecutableInternalRepresentationsKHR");
  uint32_t n = MOST;
  memset(all, 0, sizeof all);
  for (int i = 0; i < MOST; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  if (!ask || ask(device, which, &n, all) < 0) return;
  for (uint32_t i = 0; i < n; i++) all[i].pData = calloc(1, all[i].dataSize + 1);
  ask(device, which, &n, all);
  for (uint32_t i = 0; i < n; i++) {
    if (strstr(all[i].name, "ssembly") || strstr(all[i].name, "ISA") || strstr(all[i].name, "GEN")) {
      FILE *to = fileOf("asm", mode);
      if (to) fputs(all[i].pData, to), fclose(to);
    }
    free(all[i].pData);
  }
}

static void writeDown(VkDevice device, VkPipeline pipeline) {
  PFN_vkGetPipelineExecutablePropertiesKHR ask = (void *)nextDevice(device, "vkGetPipelineExecutablePropertiesKHR");
  VkPipelineExecutablePropertiesKHR parts[8];
  VkPipelineInfoKHR of = { VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline };
  uint32_t n = 8;
  memset(parts, 0, sizeof parts);
  for (int i = 0; i < 8; i++) parts[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
  if (!ask || ask(device, &of, &n, parts) < 0) return;
  for (uint32_t i = 0; i < n; i++) {
    VkPipelineExecutableInfoKHR which = { VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, i };
    FILE *to = fileOf("stats", i == 0 ? "w" : "a");
    if (!to) return;
    fprintf(to, "Subgroup size\t%u\n", parts[i].subgroupSize);
    writeStatistics(device, &which, to);
    fclose(to);
    writeText(device, &which, i == 0 ? "w" : "a");
  }
}

static VkResult createComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                       const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *a, VkPipeline *out) {
  (void)cache;   // what comes from a cache has no statistics
  VkComputePipelineCreateInfo *own = calloc(n, sizeof *own);
  memcpy(own, infos, n * sizeof *own);
  for (uint32_t i = 0; i < n; i++) {
    own[i].flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  }
  PFN_vkCreateComputePipelines create = (void *)nextDevice(device, "vkCreateComputePipelines");
  VkResult result = create(device, VK_NULL_HANDLE, n, own, a, out);
  for (uint32_t i = 0; i < n && result == VK_SUCCESS; i++) writeDown(device, out[i]);
  free(own);
  return result;
}

// ---- the layer ------------------------------------------------------------------------------------------------------

static void *linkOf(const void *info, VkStructureType type) {
  for (const VkBaseInStructure *p = ((const VkBaseInStructure *)info)->pNext; p; p = p->pNext) {
    if (p->sType == type && ((const VkLayerInstanceCreateInfo *)p)->function == VK_LAYER_LINK_INFO) return (void *)p;
  }
  return NULL;
}

static VkResult createInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *out) {
  VkLayerInstanceCreateInfo *link = linkOf(info, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  nextInstance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateInstance)nextInstance(NULL, "vkCreateInstance"))(info, a, out);
  if (result == VK_SUCCESS) instance = *out;
  return result;
}

static VkResult createDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *a, VkDevice *out) {
  VkLayerDeviceCreateInfo *link = linkOf(info, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  nextDevice = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkDeviceCreateInfo own = *info;
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext, VK_TRUE };
  const char **names = calloc(info->enabledExtensionCount + 1, sizeof *names);
  int asked = 0;
  for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
    names[i] = info->ppEnabledExtensionNames[i];
    asked |= strcmp(names[i], EXTENSION) == 0;
  }
  if (!asked) {
    names[own.enabledExtensionCount++] = EXTENSION;
    own.ppEnabledExtensionNames = names;
    own.pNext = &feature;
  }
  VkResult result = ((PFN_vkCreateDevice)next(instance, "vkCreateDevice"))(physical, &own, a, out);
  free(names);
  return result;
}

#define MINE(f, g) if (strcmp(name, f) == 0) return (PFN_vkVoidFunction)g

EXPORT PFN_vkVoidFunction isa_GetDeviceProcAddr(VkDevice device, const char *name) {
  MINE("vkGetDeviceProcAddr", isa_GetDeviceProcAddr);
  MINE("vkCreateComputePipelines", createComputePipelines);
  PFN_vkVoidFunction next = nextDevice(device, name), own = withoutHardware(name);
  return next && own ? own : next;
}

EXPORT PFN_vkVoidFunction isa_GetInstanceProcAddr(VkInstance of, const char *name) {
  MINE("vkGetInstanceProcAddr", isa_GetInstanceProcAddr);
  MINE("vkGetDeviceProcAddr", isa_GetDeviceProcAddr);
  MINE("vkCreateInstance", createInstance);
  MINE("vkCreateDevice", createDevice);
  MINE("vkCreateComputePipelines", createComputePipelines);
  return nextInstance ? nextInstance(of, name) : NULL;
}

EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version) {
  if (version->loaderLayerInterfaceVersion > 2) version->loaderLayerInterfaceVersion = 2;
  version->pfnGetInstanceProcAddr = isa_GetInstanceProcAddr;
  version->pfnGetDeviceProcAddr = isa_GetDeviceProcAddr;
  version->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
