// Runs the encoder's kernels.cu on the processor and holds what they compute against plain loops in double.
#include "emulation.hpp"

struct f16;
inline float to_float(f16 x);
inline void store(f16& to, float x);

#include "../../src/encoder/kernels.cu"

#include <cstdio>
#include <random>
#include <string>

inline float to_float(f16 x) {
  _Float16 half;
  std::memcpy(&half, &x.bits, sizeof half);
  return float(half);
}
inline void store(f16& to, float x) {
  const _Float16 half = _Float16(x);
  std::memcpy(&to.bits, &half, sizeof half);
}

static int faults = 0;
static std::mt19937_64 source(7);
static std::normal_distribution<float> normal;

template <typename T>
std::vector<T> numbers(size_t n, float scale = 1.0f) {
  std::vector<T> values(n);
  for (T& value : values) store(value, scale * normal(source));
  return values;
}

// Holds the values against what `expected` says of each place, to within `unit` of the largest.
template <typename T, typename F>
void hold(const std::string& what, const std::vector<T>& got, double unit, F expected) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < got.size(); i++) {
    const double want = expected(i);
    largest = std::max(largest, std::abs(want));
    worst = std::max(worst, std::abs(double(to_float(got[i])) - want));
  }
  const bool holds = worst <= unit * largest;
  std::printf("%s%s: off by %.1e of the largest\n", holds ? "" : "FAULT: ", what.c_str(), worst / largest);
  faults += !holds;
}

static int blocks(size_t threads) { return int((threads + WARP - 1) / WARP); }

static double reference(double x, int activation) {
  switch (activation) {
    case QUICK_GELU:
      return x / (1 + std::exp(-1.702 * x));
    case GELU:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case GELU_TANH:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default:
      return std::max(x, 0.0);
  }
}

template <typename T, int V>
void check(const std::string& name, double unit) {
  const std::string suffix = " " + name + " by " + std::to_string(V);
  {
    const int n = 5, w = 76;
    const auto x = numbers<float>(n * w, 3), weight = numbers<float>(w), bias = numbers<float>(w);
    std::vector<T> out(n * w);
    launch(n, 1, [&] { layer_norm<T, V>(x.data(), weight.data(), bias.data(), out.data(), n, w, 1e-5f); });
    hold("layer norm" + suffix, out, unit, [&](size_t i) {
      const float* row = &x[i / w * w];
      double mean = 0, variance = 0;
      for (int j = 0; j < w; j++) mean += double(row[j]) / w;
      for (int j = 0; j < w; j++) variance += (row[j] - mean) * (row[j] - mean) / w;
      return (x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i % w] + bias[i % w];
    });
  }
  {
    const int b = 2, t = 5, h = 3, d = 8, w = h * d;
    const auto x = numbers<T>(b * t * 3 * w);
    const auto bias = numbers<float>(3 * w);
    std::vector<T> out(b * t * 3 * w);
    launch(blocks(out.size() / V), 1, [&] { split_heads<T, V>(x.data(), bias.data(), out.data(), b, t, h, d, 0.25f); });
    hold("split heads" + suffix, out, unit, [&](size_t i) {
      const int c = i % d, token = i / d % t, head = i / d / t % h, item = i / d / t / h % b, part = i / d / t / h / b;
      const int column = part * w + head * d + c;
      const double value = to_float(x[(item * t + token) * 3 * w + column]) + bias[column];
      return part == 0 ? value * 0.25 : value;
    });
  }
  for (int activation : {QUICK_GELU, GELU, GELU_TANH, RELU}) {
    const int n = 4, w = 44;
    const auto x = numbers<T>(n * w, 2);
    const auto bias = numbers<float>(w);
    std::vector<T> out(n * w);
    launch(blocks(n * w / V), 1,
           [&] { bias_activation<T, V>(x.data(), bias.data(), out.data(), n * w / V, w, activation); });
    hold("activation " + std::to_string(activation) + suffix, out, unit,
         [&](size_t i) { return reference(double(to_float(x[i])) + bias[i % w], activation); });
  }
  {
    const int n = 4, w = 44;
    const auto x = numbers<float>(n * w), bias = numbers<float>(w);
    const auto y = numbers<T>(n * w);
    std::vector<float> out(n * w);
    launch(blocks(n * w / V), 1, [&] { add_with_bias<T, V>(x.data(), y.data(), bias.data(), out.data(), n * w / V, w); });
    hold("add with bias" + suffix, out, 2e-7,
         [&](size_t i) { return double(x[i]) + to_float(y[i]) + bias[i % w]; });
  }
}

template <typename T>
void check_softmax(const std::string& name, double unit) {
  const int b = 2, h = 3, t = 37;
  const auto scores = numbers<T>(b * h * t * t, 3);
  // By item and key, as padding; by head, query and key, as relative positions; none.
  struct Form {
    int causal, item, head, query;
    size_t size;
  };
  for (const Form form : {Form{0, 0, 0, 0, 0}, Form{1, 0, 0, 0, 0}, Form{0, t, 0, 0, size_t(b * t)},
                          Form{0, 0, t * t, t, size_t(h * t * t)}}) {
    const auto mask = numbers<float>(form.size);
    std::vector<T> out(scores.size());
    launch(b * h * t, 1, [&] {
      softmax<T>(scores.data(), form.size ? mask.data() : nullptr, out.data(), b, h, t, form.causal, form.item, form.head,
                 form.query);
    });
    hold("softmax " + name + (form.causal ? " causal" : form.size ? " masked" : ""), out, unit, [&](size_t i) {
      const int key = i % t, query = i / t % t, head = i / t / t % h, item = i / t / t / h;
      auto power = [&](int key) {
        if (form.causal && key > query) return 0.0;
        double score = to_float(scores[i / t * t + key]);
        if (form.size) score += mask[item * form.item + head * form.head + query * form.query + key];
        return std::exp(score);
      };
      double sum = 0;
      for (int other = 0; other < t; other++) sum += power(other);
      return power(key) / sum;
    });
  }
}

int main() {
  check<float, 1>("f32", 1e-6);
  check<float, 4>("f32", 1e-6);
  check<f16, 1>("f16", 5e-4);
  check<f16, 4>("f16", 5e-4);
  check<bf16, 1>("bf16", 4e-3);
  check<bf16, 4>("bf16", 4e-3);
  check_softmax<float>("f32", 1e-6);
  check_softmax<f16>("f16", 5e-4);
  check_softmax<bf16>("bf16", 4e-3);
  const int b = 2, area = 12;
  std::vector<unsigned char> pixels(b * area * 3);
  for (auto& byte : pixels) byte = source();
  const auto table = numbers<float>(3 * 256);
  std::vector<float> out(pixels.size());
  launch(blocks(out.size()), 1, [&] { normalise(pixels.data(), table.data(), out.data(), out.size(), area); });
  hold("normalise", out, 0, [&](size_t i) {
    const size_t pixel = i % area, channel = i / area % 3, item = i / area / 3;
    return table[channel * 256 + pixels[(item * area + pixel) * 3 + channel]];
  });
  std::printf(faults ? "%d faults\n" : "all kernels agree with plain loops\n", faults);
  return faults != 0;
}
