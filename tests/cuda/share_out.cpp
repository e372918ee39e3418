// Runs the kernels of share_out.cu on the processor and holds what they compute against plain loops in long double.
#include "emulation.hpp"

#include "../../src/mixture/device/share_out.cu"

#include <cstdio>
#include <cstdlib>
#include <random>

struct Case {
  int n, k, d;
  Assignment assignment;
  double inverse_temperature;
  double concentration;
  bool exact;
};

// Of cosines that the exact means are there to mend, as a standard deviation.
constexpr double ERROR = 1e-5;

static int faults = 0;

static void expect(bool holds, const char* what, double got, double limit) {
  if (holds) return;
  std::printf("FAULT: %s: %g, limit %g\n", what, got, limit);
  faults++;
}

template <typename T, typename S, typename Share, typename Weigh>
static void check(const Case& c, Share share_kernel, Weigh weigh_kernel, double tolerance) {
  std::mt19937_64 random(c.n * 31 + c.k);
  std::normal_distribution<double> normal;
  const auto [n, k, d, assignment, inverse_temperature, concentration, is_exact] = c;
  std::vector<double> means(size_t(k) * d), concentrations(k), offsets(k), slacks(k), scales(n), weights(n);
  std::vector<T> rows(size_t(n) * d), cosines(size_t(n) * k);
  std::vector<S> shares(size_t(n) * k);
  auto unit = [&](auto* out, double noise, const double* centre) {
    double square = 0;
    std::vector<double> x(d);
    for (int i = 0; i < d; i++) {
      x[i] = (centre ? centre[i] : 0.0) + noise * normal(random);
      square += x[i] * x[i];
    }
    for (int i = 0; i < d; i++) out[i] = x[i] / std::sqrt(square);
  };
  for (int j = 0; j < k; j++) {
    // Every second lies beside the one before, closer than coarse products can tell.
    if (j % 2)
      unit(&means[size_t(j) * d], 1e-5, &means[size_t(j - 1) * d]);
    else
      unit(&means[size_t(j) * d], 1.0, nullptr);
    concentrations[j] = concentration * (1.0 + 0.2 * (j / 2) / k);
    offsets[j] = std::log(1.0 / k) + concentrations[j] * 0.5;
    slacks[j] = 6.0 * ERROR * concentrations[j];
  }
  for (int i = 0; i < n; i++) {
    unit(&rows[size_t(i) * d], 0.8 / std::sqrt(double(d)), &means[size_t(random() % k) * d]);
    const double length = 0.5 + double(random() % 100) / 50.0;
    for (int a = 0; a < d; a++) rows[size_t(i) * d + a] *= length;
    double square = 0;
    for (int a = 0; a < d; a++) square += double(rows[size_t(i) * d + a]) * rows[size_t(i) * d + a];
    scales[i] = 1.0 / std::sqrt(square);
    weights[i] = random() % 4;
  }
  // The last row is a filler.
  std::fill(&rows[size_t(n - 1) * d], &rows[size_t(n - 1) * d] + d, T(0));
  scales[n - 1] = weights[n - 1] = 0.0;
  auto square_distance = [&](int i, int j) {
    long double sum = 0;
    for (int a = 0; a < d; a++) {
      const long double difference = (long double)rows[size_t(i) * d + a] * scales[i] - means[size_t(j) * d + a];
      sum += difference * difference;
    }
    return sum;
  };
  auto product = [&](int i, int j) {
    long double dot = 0;
    for (int a = 0; a < d; a++) dot += (long double)rows[size_t(i) * d + a] * means[size_t(j) * d + a];
    return dot;
  };
  for (int i = 0; i < n; i++)
    for (int j = 0; j < k; j++) {
      // Coarse products, which the exact means are there to mend.
      const double error = is_exact ? ERROR * normal(random) : 0.0;
      cosines[size_t(i) * k + j] = T((double)product(i, j) + error);
    }
  std::vector<double> ln_likelihoods(n);
  const unsigned long long seed = 42, first = 1000;
  launch(n, 1, [&] {
    share_kernel(cosines.data(), rows.data(), is_exact ? means.data() : nullptr, concentrations.data(), offsets.data(),
                 slacks.data(), scales.data(), shares.data(), ln_likelihoods.data(), n, k, d, assignment,
                 inverse_temperature, seed, first);
  });
  const std::vector<S> responsibilities = shares;
  const int together = 5, parts = (n + together - 1) / together;
  std::vector<double> sums(size_t(parts) * 2 * k);
  launch((k + WARP - 1) / WARP, parts,
         [&] { weigh_kernel(shares.data(), scales.data(), weights.data(), sums.data(), n, k, together); });

  double worst_likelihood = 0, worst_share = 0, worst_sum = 0, worst_weighed = 0;
  std::vector<long double> masses(k), squares(k);
  for (int i = 0; i < n; i++) {
    std::vector<long double> logits(k), expected(k);
    long double most = LOWEST;
    for (int j = 0; j < k; j++) {
      logits[j] = is_exact ? offsets[j] - concentrations[j] * square_distance(i, j) / 2
                           : concentrations[j] * (cosines[size_t(i) * k + j] * (long double)scales[i] - 1) + offsets[j];
      most = std::max(most, logits[j]);
    }
    int best = int(std::max_element(logits.begin(), logits.end()) - logits.begin());
    long double plain = 0, sum = 0;
    for (int j = 0; j < k; j++) {
      plain += std::exp(logits[j] - most);
      sum += expected[j] = std::exp(inverse_temperature * (logits[j] - most));
    }
    const long double ln_likelihood = assignment == HARD ? most : most + std::log(plain);
    if (assignment == STOCHASTIC) {
      long double running = 0, target = sum * uniform(seed, first + i);
      best = 0;
      while (best < k - 1 && (running += expected[best]) <= target) best++;
    }
    for (int j = 0; j < k; j++) {
      expected[j] = assignment == SOFT ? expected[j] / sum : (long double)(j == best);
      if (expected[j] < NEGLIGIBLE) expected[j] = 0;
      const S got = responsibilities[size_t(i) * k + j];
      if (scales[i] != 0.0) worst_share = std::max(worst_share, double(std::abs(got - expected[j])));
      const double weighed = shares[size_t(i) * k + j];
      worst_weighed = std::max(worst_weighed, std::abs(weighed - weights[i] * scales[i] * double(got)));
      masses[j] += weights[i] * (long double)got;
      squares[j] += weights[i] * (long double)got * got;
    }
    // A filler has no direction: its logits, whatever they are, have to be numbers.
    expect(std::isfinite(ln_likelihoods[i]), "log-likelihood", ln_likelihoods[i], LOWEST);
    if (scales[i] == 0.0) continue;
    const double magnitude = std::max(1.0, double(std::abs(ln_likelihood)) / 1e4);
    worst_likelihood = std::max(worst_likelihood, double(std::abs(ln_likelihoods[i] - ln_likelihood)) / magnitude);
  }
  for (int j = 0; j < k; j++) {
    long double mass = 0, square = 0;
    for (int part = 0; part < parts; part++) {
      mass += sums[size_t(2 * part) * k + j];
      square += sums[size_t(2 * part + 1) * k + j];
    }
    worst_sum = std::max({worst_sum, double(std::abs(mass - masses[j])), double(std::abs(square - squares[j]))});
  }
  std::printf("n %d k %d d %d assignment %d power %g exact %d %s: likelihood %.1e share %.1e sums %.1e\n", n, k, d,
              assignment, inverse_temperature, is_exact, sizeof(T) == 4 ? "f32" : "f64", worst_likelihood, worst_share,
              worst_sum);
  expect(worst_likelihood <= tolerance, "log-likelihood", worst_likelihood, tolerance);
  expect(worst_share <= 10 * tolerance, "share", worst_share, 10 * tolerance);
  expect(worst_sum <= 1e-12 * n, "sums", worst_sum, 1e-12 * n);
  expect(worst_weighed <= 1e-6, "weighed shares", worst_weighed, 1e-6);
}

int main() {
  const Case cases[] = {
      {23, 1, 2, SOFT, 1.0, 5, false},       {23, 5, 16, SOFT, 1.0, 30, false},      {17, 70, 33, SOFT, 0.5, 200, false},
      {17, 70, 33, SOFT, 1.0, 2000, true},   {23, 64, 8, HARD, 1.0, 1, false},       {17, 70, 33, HARD, 1.0, 3000, true},
      {41, 70, 33, STOCHASTIC, 1.0, 10, false}, {41, 33, 16, STOCHASTIC, 0.3, 40, true},
      {17, 70, 33, SOFT, 1.0, 1e9, true},    {17, 70, 33, HARD, 1.0, 1e9, true},
  };
  for (const Case& c : cases) {
    if (c.exact)
      check<float, double>(c, share_f32_exact, weigh_f64, 1e-11);
    else
      check<float, float>(c, share_f32, weigh_f32, 2e-7);
    check<double, double>(c, share_f64, weigh_f64, 1e-11);
  }
  std::printf(faults ? "%d faults\n" : "all kernels agree with plain loops\n", faults);
  return faults != 0;
}
