// CUDA's words for one warp on the processor: 32 threads that meet at every exchange. Slow, and exact in meaning.
#pragma once

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#define EMULATED
#define __device__
#define __global__
#define __restrict__

struct Place {
  int x, y;
};
inline thread_local Place threadIdx, blockIdx, blockDim;

constexpr int WARP = 32;
inline std::barrier meeting(WARP);
inline uint64_t exchanged[WARP];

// What thread `from` gave.
template <typename T>
T exchange(T value, int from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  std::memcpy(&exchanged[threadIdx.x % WARP], &value, sizeof(T));
  meeting.arrive_and_wait();
  T got;
  std::memcpy(&got, &exchanged[from], sizeof(T));
  meeting.arrive_and_wait();
  return got;
}

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return exchange(value, (threadIdx.x % WARP) ^ mask);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, int delta) {
  const int lane = threadIdx.x % WARP;
  return exchange(value, lane >= delta ? lane - delta : lane);
}
template <typename T>
T __shfl_sync(unsigned, T value, int from) {
  return exchange(value, from);
}
inline unsigned __ballot_sync(unsigned, bool vote) {
  unsigned votes = 0;
  for (int from = 0; from < WARP; from++) votes |= unsigned(exchange(vote, from)) << from;
  return votes;
}
inline int __ffs(unsigned x) { return x ? __builtin_ctz(x) + 1 : 0; }

inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

using std::max;
using std::min;

// A grid of blocks of one warp each.
template <typename F>
void launch(int blocks_x, int blocks_y, F kernel) {
  std::vector<std::thread> threads;
  for (int lane = 0; lane < WARP; lane++) {
    threads.emplace_back([=] {
      threadIdx = {lane, 0};
      blockDim = {WARP, 1};
      for (int y = 0; y < blocks_y; y++) {
        for (int x = 0; x < blocks_x; x++) {
          blockIdx = {x, y};
          kernel();
          meeting.arrive_and_wait();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
}
