// The sharing out of rows among components, on the device: what `Kernel::share` does on the processor.
//
// One warp takes a row, so that reads of cosines and coordinates lie side by side. T is the type of the data, float or
// double, and S that of the shares; logits are always in double, their exponentials in S.

constexpr int LANES = 32;
constexpr unsigned ALL = 0xffffffffu;

// Below every logit.
constexpr double LOWEST = -1.7976931348623157e308;

// As on the processor: see the constants of these names there.
constexpr double RELEVANT = 20.0;
constexpr double NEGLIGIBLE = 1e-8;

enum Assignment { SOFT = 0, HARD = 1, STOCHASTIC = 2 };

__device__ inline float exponential(double x, float) { return expf((float)x); }
__device__ inline double exponential(double x, double) { return exp(x); }

__device__ inline double warp_max(double x) {
  for (int offset = LANES / 2; offset > 0; offset /= 2) x = fmax(x, __shfl_xor_sync(ALL, x, offset));
  return x;
}

__device__ inline double warp_sum(double x) {
  for (int offset = LANES / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(ALL, x, offset);
  return x;
}

// Place of the largest of `n` values, each lane having looked at its own; the first of equals.
__device__ inline int warp_argmax(double value, int place) {
  for (int offset = LANES / 2; offset > 0; offset /= 2) {
    const double other = __shfl_xor_sync(ALL, value, offset);
    const int there = __shfl_xor_sync(ALL, place, offset);
    if (other > value || (other == value && there < place)) {
      value = other;
      place = there;
    }
  }
  return place;
}

// A number in [0, 1) for a row, by the mixing function of SplitMix64.
__device__ inline double uniform(unsigned long long seed, unsigned long long row) {
  unsigned long long z = seed + row * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

// From products with the means, (n, k), to responsibilities, (n, k), and log-likelihoods, (n). `exact`, the means in
// double, (k, d), is null where the products are exact enough; where it is not, S is double.
template <typename T, typename S>
__device__ void share(const T* cosines, const T* rows, const double* exact, const double* concentrations,
                      const double* offsets, const double* slacks, const double* scales, S* shares,
                      double* ln_likelihoods, int n, int k, int d, int assignment, double inverse_temperature,
                      unsigned long long seed, unsigned long long first) {
  const int row = blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
  const int lane = threadIdx.x % LANES;
  if (row >= n) return;
  cosines += (size_t)row * k;
  shares += (size_t)row * k;
  const double scale = scales[row];
  auto logit = [&](int j) { return concentrations[j] * ((double)cosines[j] * scale - 1.0) + offsets[j]; };

  double most = LOWEST;
  if (exact) {
    double least = LOWEST;
    for (int j = lane; j < k; j += LANES) least = fmax(least, logit(j) - slacks[j]);
    least = warp_max(least) - RELEVANT;
    const T* x = rows + (size_t)row * d;
    for (int base = 0; base < k; base += LANES) {
      const int j = base + lane;
      double value = j < k ? logit(j) : LOWEST;
      unsigned relevant = __ballot_sync(ALL, j < k && value + slacks[j] >= least);
      while (relevant) {
        const int who = __ffs(relevant) - 1;
        relevant &= relevant - 1;
        const double* mean = exact + (size_t)(base + who) * d;
        double square = 0.0;
        for (int c = lane; c < d; c += LANES) {
          const double difference = (double)x[c] * scale - mean[c];
          square += difference * difference;
        }
        square = warp_sum(square);
        if (lane == who) value = offsets[j] - 0.5 * concentrations[j] * square;
      }
      if (j < k) shares[j] = (S)value;
      most = fmax(most, value);
    }
  } else {
    for (int j = lane; j < k; j += LANES) most = fmax(most, logit(j));
  }
  most = warp_max(most);
  // Where logits are corrected, `shares` holds them in the meantime.
  auto relative = [&](int j) { return (exact ? (double)shares[j] : logit(j)) - most; };

  int best = 0;
  double sum = 1.0;
  if (assignment == HARD) {
    double value = LOWEST;
    for (int j = lane; j < k; j += LANES) {
      const double x = relative(j);
      if (x > value) {
        value = x;
        best = j;
      }
    }
    best = warp_argmax(value, value > LOWEST ? best : k);
    if (lane == 0) ln_likelihoods[row] = most;
  } else {
    double plain = 0.0;
    sum = 0.0;
    for (int j = lane; j < k; j += LANES) {
      const double x = relative(j);
      const S power = exponential(inverse_temperature * x, S(0));
      sum += (double)power;
      if (inverse_temperature != 1.0) plain += (double)exponential(x, S(0));
      shares[j] = power;
    }
    sum = warp_sum(sum);
    plain = inverse_temperature != 1.0 ? warp_sum(plain) : sum;
    if (lane == 0) ln_likelihoods[row] = most + log(plain);
  }
  if (assignment == STOCHASTIC) {
    const double target = sum * uniform(seed, first + row);
    double before = 0.0;
    best = -1;
    for (int base = 0; base < k && best < 0; base += LANES) {
      const int j = base + lane;
      double running = j < k ? (double)shares[j] : 0.0;
      for (int offset = 1; offset < LANES; offset *= 2) {
        const double left = __shfl_up_sync(ALL, running, offset);
        if (lane >= offset) running += left;
      }
      const unsigned passed = __ballot_sync(ALL, j < k && before + running > target);
      if (passed) best = base + __ffs(passed) - 1;
      before += __shfl_sync(ALL, running, LANES - 1);
    }
    if (best < 0) {
      // Rounding left the target above the last sum: the likeliest.
      double value = LOWEST;
      for (int j = lane; j < k; j += LANES) {
        if ((double)shares[j] > value) {
          value = (double)shares[j];
          best = j;
        }
      }
      best = warp_argmax(value, best < 0 ? k : best);
    }
  }
  for (int j = lane; j < k; j += LANES) {
    const double share = assignment == SOFT ? (double)shares[j] / sum : j == best;
    shares[j] = share < NEGLIGIBLE ? S(0) : (S)share;
  }
}

// Sums of responsibilities and of their squares, each times the row's weight, for `together` rows at a time:
// (n / together rounded up, 2, k). Leaves in `shares` what each row counts with in the resultants.
template <typename S>
__device__ void weigh(S* shares, const double* scales, const double* weights, double* sums, int n, int k, int together) {
  const int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= k) return;
  const int start = blockIdx.y * together;
  const int end = min(n, start + together);
  double mass = 0.0, square = 0.0;
  for (int row = start; row < end; row++) {
    S* place = shares + (size_t)row * k + j;
    const double share = (double)*place;
    const double weighted = weights[row] * share;
    mass += weighted;
    square += weighted * share;
    *place = (S)(scales[row] * weighted);
  }
  sums[(size_t)(2 * blockIdx.y) * k + j] = mass;
  sums[(size_t)(2 * blockIdx.y + 1) * k + j] = square;
}

#define SHARE(T, S, NAME)                                                                                               \
  extern "C" __global__ void share_##NAME(                                                                              \
      const T* cosines, const T* rows, const double* exact, const double* concentrations, const double* offsets,        \
      const double* slacks, const double* scales, S* shares, double* ln_likelihoods, int n, int k, int d,               \
      int assignment, double inverse_temperature, unsigned long long seed, unsigned long long first) {                  \
    share<T, S>(cosines, rows, exact, concentrations, offsets, slacks, scales, shares, ln_likelihoods, n, k, d,         \
                assignment, inverse_temperature, seed, first);                                                          \
  }

#define WEIGH(S, NAME)                                                                                                  \
  extern "C" __global__ void weigh_##NAME(S* shares, const double* scales, const double* weights, double* sums, int n,  \
                                          int k, int together) {                                                        \
    weigh<S>(shares, scales, weights, sums, n, k, together);                                                            \
  }

SHARE(float, float, f32)
SHARE(float, double, f32_exact)
SHARE(double, double, f64)
WEIGH(float, f32)
WEIGH(double, f64)
