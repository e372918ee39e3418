// What a tower does between its matrix products, on the device: what `kernels.rs` does on the processor.
//
// T is what products are taken in: float, f16 or bf16. Sums, norms, exponentials and residuals are in float whatever T is.
// A thread takes V values that lie side by side, where widths are multiples of V.

constexpr int LANES = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr float LOWEST = -3.402823466e38f;

struct f16 {
  unsigned short bits;
};
struct bf16 {
  unsigned short bits;
};

#ifndef EMULATED
__device__ inline float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ inline void store(f16& to, float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(x)); }
#endif
__device__ inline float to_float(float x) { return x; }
__device__ inline void store(float& to, float x) { to = x; }
__device__ inline float to_float(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
// To the nearest, of two as near to the even one.
__device__ inline void store(bf16& to, float x) {
  const unsigned bits = __float_as_uint(x);
  to.bits = x != x ? 0x7fc0 : (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

template <typename T, int V>
__device__ inline Pack<T, V> load(const T* from, size_t pack) {
  return reinterpret_cast<const Pack<T, V>*>(from)[pack];
}
template <typename T, int V>
__device__ inline void save(T* to, size_t pack, const Pack<T, V>& values) {
  reinterpret_cast<Pack<T, V>*>(to)[pack] = values;
}

__device__ inline float warp_sum(float x) {
  for (int offset = LANES / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(ALL, x, offset);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int offset = LANES / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, offset));
  return x;
}

__device__ inline size_t thread() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

// (n, w) to (n, w): a warp takes a row.
template <typename T, int V>
__device__ void layer_norm(const float* x, const float* weight, const float* bias, T* out, int n, int w, float epsilon) {
  const size_t row = thread() / LANES;
  const int lane = threadIdx.x % LANES, packs = w / V;
  if (row >= n) return;
  x += row * w;
  out += row * w;
  float sum = 0.0f;
  for (int pack = lane; pack < packs; pack += LANES) {
    const auto values = load<float, V>(x, pack);
    for (int i = 0; i < V; i++) sum += values.values[i];
  }
  const float mean = warp_sum(sum) / w;
  float square = 0.0f;
  for (int pack = lane; pack < packs; pack += LANES) {
    const auto values = load<float, V>(x, pack);
    for (int i = 0; i < V; i++) square += (values.values[i] - mean) * (values.values[i] - mean);
  }
  const float scale = 1.0f / sqrtf(warp_sum(square) / w + epsilon);
  for (int pack = lane; pack < packs; pack += LANES) {
    const auto values = load<float, V>(x, pack);
    const auto weights = load<float, V>(weight, pack), biases = load<float, V>(bias, pack);
    Pack<T, V> result;
    for (int i = 0; i < V; i++)
      store(result.values[i], (values.values[i] - mean) * scale * weights.values[i] + biases.values[i]);
    save<T, V>(out, pack, result);
  }
}

// (b, t, 3, h, d) without their bias, (3, h, d), to (3, b, h, t, d), queries times `scale`.
template <typename T, int V>
__device__ void split_heads(const T* x, const float* bias, T* out, int b, int t, int h, int d, float scale) {
  const int packs = d / V;
  size_t at = thread();
  if (at >= (size_t)3 * b * h * t * packs) return;
  const size_t to = at;
  const int pack = at % packs;
  at /= packs;
  const int token = at % t;
  at /= t;
  const int head = at % h;
  at /= h;
  const int item = at % b, part = at / b;
  const auto values = load<T, V>(x, ((((size_t)item * t + token) * 3 + part) * h + head) * packs + pack);
  const auto biases = load<float, V>(bias, ((size_t)part * h + head) * packs + pack);
  const float factor = part == 0 ? scale : 1.0f;
  Pack<T, V> result;
  for (int i = 0; i < V; i++) store(result.values[i], (to_float(values.values[i]) + biases.values[i]) * factor);
  save<T, V>(out, to, result);
}

// Scores (b, h, t, t) to weights that sum to one: a warp takes a query. With `causal`, a token sees only itself and those
// before it; `mask`, where there is one, is added, its strides over items, heads and queries given.
template <typename T>
__device__ void softmax(const T* scores, const float* mask, T* out, int b, int h, int t, int causal, int item_stride,
                        int head_stride, int query_stride) {
  const size_t row = thread() / LANES;
  const int lane = threadIdx.x % LANES;
  if (row >= (size_t)b * h * t) return;
  const int query = row % t, head = row / t % h, item = row / t / h;
  const int seen = causal ? query + 1 : t;
  scores += row * t;
  out += row * t;
  if (mask) mask += (size_t)item * item_stride + (size_t)head * head_stride + (size_t)query * query_stride;
  auto score = [&](int key) { return to_float(scores[key]) + (mask ? mask[key] : 0.0f); };
  float most = LOWEST;
  for (int key = lane; key < seen; key += LANES) most = fmaxf(most, score(key));
  most = warp_max(most);
  float sum = 0.0f;
  for (int key = lane; key < seen; key += LANES) sum += expf(score(key) - most);
  const float scale = 1.0f / warp_sum(sum);
  for (int key = lane; key < t; key += LANES) store(out[key], key < seen ? expf(score(key) - most) * scale : 0.0f);
}

enum Activation { QUICK_GELU = 0, GELU = 1, GELU_TANH = 2, RELU = 3 };

__device__ inline float activated(float x, int activation) {
  switch (activation) {
    case QUICK_GELU:
      return x / (1.0f + expf(-1.702f * x));
    case GELU:
      return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case GELU_TANH:
      return 0.5f * x * (1.0f + tanhf(0.7978846f * (x + 0.044715f * x * x * x)));
    default:
      return fmaxf(x, 0.0f);
  }
}

// activation(x + bias) in each row, (n, w) of which there are `packs` packs.
template <typename T, int V>
__device__ void bias_activation(const T* x, const float* bias, T* out, size_t packs, int w, int activation) {
  const size_t pack = thread();
  if (pack >= packs) return;
  const auto values = load<T, V>(x, pack);
  const auto biases = load<float, V>(bias, pack % (w / V));
  Pack<T, V> result;
  for (int i = 0; i < V; i++) store(result.values[i], activated(to_float(values.values[i]) + biases.values[i], activation));
  save<T, V>(out, pack, result);
}

// x + y + bias in each row.
template <typename T, int V>
__device__ void add_with_bias(const float* x, const T* y, const float* bias, float* out, size_t packs, int w) {
  const size_t pack = thread();
  if (pack >= packs) return;
  const auto left = load<float, V>(x, pack), biases = load<float, V>(bias, pack % (w / V));
  const auto right = load<T, V>(y, pack);
  Pack<float, V> result;
  for (int i = 0; i < V; i++) result.values[i] = left.values[i] + (to_float(right.values[i]) + biases.values[i]);
  save<float, V>(out, pack, result);
}

// Bytes of pixels, (b, area, 3), to normalised planes, (b, 3, area), by a table for each channel, (3, 256).
extern "C" __global__ void normalise(const unsigned char* pixels, const float* table, float* out, size_t n, int area) {
  const size_t at = thread();
  if (at >= n) return;
  const size_t pixel = at % area, plane = at / area;
  const int channel = plane % 3;
  out[at] = table[channel * 256 + pixels[(plane / 3 * area + pixel) * 3 + channel]];
}

#define KERNELS(T, V)                                                                                                    \
  extern "C" __global__ void layer_norm_##T##_##V(const float* x, const float* weight, const float* bias, T* out, int n, \
                                                  int w, float epsilon) {                                                \
    layer_norm<T, V>(x, weight, bias, out, n, w, epsilon);                                                               \
  }                                                                                                                      \
  extern "C" __global__ void split_heads_##T##_##V(const T* x, const float* bias, T* out, int b, int t, int h, int d,    \
                                                   float scale) {                                                        \
    split_heads<T, V>(x, bias, out, b, t, h, d, scale);                                                                  \
  }                                                                                                                      \
  extern "C" __global__ void bias_activation_##T##_##V(const T* x, const float* bias, T* out, size_t packs, int w,       \
                                                       int activation) {                                                 \
    bias_activation<T, V>(x, bias, out, packs, w, activation);                                                           \
  }                                                                                                                      \
  extern "C" __global__ void add_with_bias_##T##_##V(const float* x, const T* y, const float* bias, float* out,          \
                                                     size_t packs, int w) {                                              \
    add_with_bias<T, V>(x, y, bias, out, packs, w);                                                                      \
  }

#define KERNELS_OF(T)                                                                                                    \
  KERNELS(T, 1)                                                                                                          \
  KERNELS(T, 4)                                                                                                          \
  extern "C" __global__ void softmax_##T(const T* scores, const float* mask, T* out, int b, int h, int t, int causal,    \
                                         int item_stride, int head_stride, int query_stride) {                           \
    softmax<T>(scores, mask, out, b, h, t, causal, item_stride, head_stride, query_stride);                              \
  }

KERNELS_OF(float)
KERNELS_OF(f16)
KERNELS_OF(bf16)
