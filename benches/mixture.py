"""What faiss, NumPy and scikit-learn take for the same as `cargo bench -- sweep kmeans`.

    pip install numpy==2.4.6 faiss-cpu==1.15.1 scikit-learn==1.9.1
    python benches/mixture.py
"""

import time
import warnings

import faiss
import numpy as np
from sklearn.mixture import GaussianMixture

N, D, KAPPA, CENTRES = 100_000, 768, 300.0, 1000
rng = np.random.default_rng(0)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def uniform():
    return unit(rng.standard_normal((N, D), dtype=np.float32))


def clustered():
    """As a von Mises-Fisher distribution of twice KAPPA: its mean cosine, and the rest spread over the tangents."""
    centres = unit(rng.standard_normal((CENTRES, D), dtype=np.float32))[rng.integers(0, CENTRES, N)]
    cosine = 2 * KAPPA / (D / 2 + np.hypot(D / 2, 2 * KAPPA))
    tangents = rng.standard_normal((N, D), dtype=np.float32)
    tangents = unit(tangents - (tangents * centres).sum(1, keepdims=True) * centres)
    return (cosine * centres + np.sqrt(1 - cosine**2) * tangents).astype(np.float32)


def median(f, n=5):
    f()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


for name, x in (("uniform", uniform()), ("clustered", clustered())):
    for k in (64, 256):
        if name == "uniform":
            m = x[:k].copy()

            def em():
                l = x @ (m * np.float32(KAPPA)).T
                l -= l.max(1, keepdims=True)
                np.exp(l, out=l)
                l /= l.sum(1, keepdims=True)
                return l.T @ x

            product = median(lambda: x @ m.T)
            print(f"product/k={k}: {N / product / 1e3:.0f} thousand points/s, {2 * N * D * k / product / 1e9:.0f} GF/s")
            print(f"NumPy soft EM/k={k}: {N / median(em) / 1e3:.0f} thousand points/s")
            warnings.simplefilter("ignore")
            few = x[: N // 5]
            mixture = GaussianMixture(k, covariance_type="spherical", max_iter=3, init_params="random_from_data", tol=0)
            start = time.perf_counter()
            mixture.fit(few)
            print(f"scikit-learn spherical GMM/k={k}: {3 * len(few) / (time.perf_counter() - start) / 1e3:.0f} thousand points/s")
        kmeans = faiss.Kmeans(D, k, niter=25, spherical=True, max_points_per_centroid=10**9, seed=1)
        start = time.perf_counter()
        kmeans.train(x, init_centroids=x[:k])
        seconds = time.perf_counter() - start
        cosine = (x @ kmeans.centroids.T).max(1).mean()
        print(f"faiss kmeans/{name}/k={k}: {25 * N / seconds / 1e3:.0f} thousand points/s, {seconds:.2f} s, mean cosine {cosine:.5f}")
