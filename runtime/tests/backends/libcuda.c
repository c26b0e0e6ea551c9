/* NVIDIA's driver as far as we ask it, with a GPU of ordinary memory of which 1 MiB is free at a time.
 *
 * By cuda.h: https://docs.nvidia.com/cuda/cuda-driver-api. Copies are done when somebody synchronizes. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2 };
enum { INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500 };
enum { NON_BLOCKING = 1, QUEUE = 64 };

static void *const context = (void *)1, *const stream = (void *)77;
static struct { void *to; const void *from; size_t size; } queue[QUEUE];
static int queued;

static Result init(unsigned flags) { return OK; }
static Result version(int *number) { *number = 13000; return OK; }
static Result device(int *handle, int ordinal) { *handle = ordinal; return OK; }
static Result retain(void **made, int handle) { *made = context; return OK; }
static Result release(int handle) { return OK; }
static Result set_current(void *wanted) { return !wanted || wanted == context ? OK : INVALID_CONTEXT; }
static Result create(void **made, unsigned flags) {
    *made = stream;
    return flags == NON_BLOCKING ? OK : INVALID_VALUE;
}

static Result destroy(void *which) { return which == stream ? OK : INVALID_HANDLE; }

static Result synchronize(void *which) {
    for (int i = 0; i < queued; i++) memcpy(queue[i].to, queue[i].from, queue[i].size);
    queued = 0;
    return which == stream ? OK : INVALID_HANDLE;
}

static Result reserve(void **place, size_t size) {
    if (size > 1 << 20) return OUT_OF_MEMORY;
    *place = calloc(1, size);
    return OK;
}

static Result give_back(void *place) { free(place); return OK; }

static Result copy(void *to, const void *from, size_t size, void *which) {
    if (which != stream || queued == QUEUE) return INVALID_HANDLE;
    queue[queued].to = to;
    queue[queued].from = from;
    queue[queued++].size = size;
    return OK;
}

static const struct { const char *name; void *function; } functions[] = {
    {"cuInit", init}, {"cuDriverGetVersion", version}, {"cuDeviceGet", device},
    {"cuDevicePrimaryCtxRetain", retain}, {"cuDevicePrimaryCtxRelease", release},
    {"cuCtxSetCurrent", set_current}, {"cuStreamCreate", create}, {"cuStreamDestroy", destroy},
    {"cuStreamSynchronize", synchronize}, {"cuMemAlloc", reserve}, {"cuMemAllocHost", reserve},
    {"cuMemFree", give_back}, {"cuMemFreeHost", give_back},
    {"cuMemcpyHtoDAsync", copy}, {"cuMemcpyDtoHAsync", copy},
};

/* Where the packages have all the others from. */
Result cuGetProcAddress_v2(
    const char *name, void **function, int at_version, unsigned long long flags, void *status) {
    *function = strcmp(name, "cuGetProcAddress") ? NULL : (void *)cuGetProcAddress_v2;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(name, functions[i].name)) *function = functions[i].function;
    return *function ? OK : NOT_FOUND;
}

Result cuGetProcAddress(const char *name, void **function, int at_version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, at_version, flags, NULL);
}
