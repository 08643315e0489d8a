/* A GPU that computes nothing: the CUDA functions that PyTorch and Triton call, with memory but without kernels.

   Kernels are launched and do nothing, so that every number is 0. What is left is what the program does around them:
   on which device tensors are, when it waits, what it launches. conftest.py adds all other functions; they return 0. */
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES 2
#define MEMORY ((size_t)80 << 30)
#define SHARED 232448 /* bytes that a block can have, of compute capability 9.0 */

static __thread int current = 0;
static long handles = 1;

static int attribute(int which) {
    switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return 9;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return 0;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 132;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return 2048;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return 49152;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return SHARED;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return SHARED + 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK: return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 2147483647;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
    default: return 1;
    }
}

static int fits(unsigned x, unsigned y, unsigned z, unsigned threads, size_t shared) {
    if (x && y && z && y <= 65535 && z <= 65535 && threads && threads <= 1024 && shared <= SHARED) return 1;
    fprintf(stderr, "no such launch: grid %u %u %u, %u threads, %zu bytes\n", x, y, z, threads, shared);
    return 0;
}

/* the runtime, as PyTorch uses it */

cudaError_t cudaGetDeviceCount(int *count) { *count = DEVICES; return 0; }
cudaError_t cudaGetDevice(int *device) { *device = current; return 0; }
cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= DEVICES) return cudaErrorInvalidDevice;
    current = device;
    return 0;
}
cudaError_t cudaDriverGetVersion(int *version) { *version = CUDART_VERSION; return 0; }
cudaError_t cudaRuntimeGetVersion(int *version) { *version = CUDART_VERSION; return 0; }
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int device) {
    *value = attribute(which);
    return 0;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *found, int device) {
    memset(found, 0, sizeof *found);
    strcpy(found->name, "GPU that computes nothing");
    found->totalGlobalMem = MEMORY;
    found->major = 9;
    found->multiProcessorCount = 132;
    found->warpSize = 32;
    found->maxThreadsPerBlock = 1024;
    found->maxThreadsPerMultiProcessor = 2048;
    found->maxThreadsDim[0] = found->maxThreadsDim[1] = 1024;
    found->maxThreadsDim[2] = 64;
    found->maxGridSize[0] = 2147483647;
    found->maxGridSize[1] = found->maxGridSize[2] = 65535;
    found->maxBlocksPerMultiProcessor = 32;
    found->regsPerBlock = found->regsPerMultiprocessor = 65536;
    found->sharedMemPerBlock = 49152;
    found->sharedMemPerBlockOptin = SHARED;
    found->sharedMemPerMultiprocessor = SHARED + 1024;
    found->textureAlignment = 512;
    return 0;
}
cudaError_t cudaMemGetInfo(size_t *free, size_t *total) { *free = *total = MEMORY; return 0; }
cudaError_t cudaMalloc(void **memory, size_t size) {
    /* zeros that take no room until they are written; the number before an aligned block tells where it begins */
    char *all = calloc(1, size + 1024);
    if (!all) return cudaErrorMemoryAllocation;
    char *aligned = (char *)(((size_t)all + 1023) & ~(size_t)511);
    ((void **)aligned)[-1] = all;
    *memory = aligned;
    return 0;
}
cudaError_t cudaFree(void *memory) { if (memory) free(((void **)memory)[-1]); return 0; }
cudaError_t cudaHostAlloc(void **memory, size_t size, unsigned flags) { return cudaMalloc(memory, size); }
cudaError_t cudaMallocHost(void **memory, size_t size) { return cudaMalloc(memory, size); }
cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }
cudaError_t cudaMemcpyAsync(
    void *to, const void *from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream) {
    if (kind == cudaMemcpyDeviceToHost) memset(to, 0, size);
    else if (kind == cudaMemcpyHostToDevice) memmove(to, from, size);
    return 0;
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, size, kind, 0);
}
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *found, const void *pointer) {
    memset(found, 0, sizeof *found);
    found->type = cudaMemoryTypeDevice;
    found->device = current;
    found->devicePointer = (void *)pointer;
    return 0;
}
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *found, const void *function) {
    memset(found, 0, sizeof *found);
    found->maxThreadsPerBlock = 1024;
    found->numRegs = 32;
    found->ptxVersion = found->binaryVersion = 90;
    return 0;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function, int size, size_t shared) {
    *blocks = 2;
    return 0;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, const void *function, int size, size_t shared, unsigned flags) {
    *blocks = 2;
    return 0;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int other) { *can = 1; return 0; }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
    *stream = (cudaStream_t)(handles++);
    return 0;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    *status = cudaStreamCaptureStatusNone;
    return 0;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) { *event = (cudaEvent_t)(handles++); return 0; }
cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    *milliseconds = 1;
    return 0;
}
const char *cudaGetErrorName(cudaError_t error) { return "error of the pretended GPU"; }
const char *cudaGetErrorString(cudaError_t error) { return "error of the pretended GPU"; }

cudaError_t cudaLaunchKernel(
    const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
    return fits(grid.x, grid.y, grid.z, block.x * block.y * block.z, shared) ? 0 : cudaErrorInvalidConfiguration;
}
cudaError_t __cudaLaunchKernel(
    cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream) {
    return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *how, const void *kernel, void **arguments) {
    return cudaLaunchKernel(kernel, how->gridDim, how->blockDim, arguments, how->dynamicSmemBytes, how->stream);
}
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function) {
    *kernel = (cudaKernel_t)function;
    return 0;
}

static __thread struct { dim3 grid, block; size_t shared; void *stream; } call;
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
    call.grid = grid, call.block = block, call.shared = shared, call.stream = stream;
    return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
    *grid = call.grid, *block = call.block, *shared = call.shared, *(void **)stream = call.stream;
    return 0;
}

/* matrix products */

int cublasCreate_v2(void **handle) { *handle = (void *)(handles++); return 0; }
int cublasLtMatmulAlgoGetHeuristic(
    void *handle, void *what, void *a, void *b, void *c, void *d, void *preference, int asked, void *found, int *count) {
    *count = 1;
    return 0;
}

/* several GPUs */

struct identity { char bytes[128]; };
int ncclGetVersion(int *version) { *version = 22800; return 0; }
int ncclCommInitRankConfig(void **group, int size, struct identity id, int rank, void *how) {
    *group = (void *)(handles++);
    return 0;
}
int ncclCommGetAsyncError(void *group, int *error) { *error = 0; return 0; }
const char *ncclGetErrorString(int error) { return "error of the pretended GPU"; }
const char *ncclGetLastError(void *group) { return "none"; }

/* the driver, as Triton uses it */

CUresult cuDeviceGetCount(int *count) { *count = DEVICES; return 0; }
CUresult cuDeviceGet(CUdevice *device, int index) { *device = index; return 0; }
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
    *value = attribute(which);
    return 0;
}
CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    *flags = 0, *active = 1;
    return 0;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { *context = (CUcontext)1; return 0; }
CUresult cuCtxGetCurrent(CUcontext *context) { *context = (CUcontext)1; return 0; }
CUresult cuCtxGetDevice(CUdevice *device) { *device = current; return 0; }
CUresult cuModuleLoadData(CUmodule *module, const void *image) { *module = (CUmodule)(handles++); return 0; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    *function = (CUfunction)(handles++);
    fprintf(stderr, "loaded %s\n", name);
    return 0;
}
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute which, CUfunction function) {
    *value = which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return 0;
}
CUresult cuGetErrorString(CUresult error, const char **text) { *text = "error of the pretended GPU"; return 0; }
CUresult cuLaunchKernelEx(const CUlaunchConfig *how, CUfunction function, void **arguments, void **extra) {
    unsigned threads = how->blockDimX * how->blockDimY * how->blockDimZ;
    return fits(how->gridDimX, how->gridDimY, how->gridDimZ, threads, how->sharedMemBytes) ? 0 : CUDA_ERROR_INVALID_VALUE;
}
