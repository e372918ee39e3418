#!/usr/bin/env bash
# Where there is no CUDA toolkit: puts one together from NVIDIA's packages on PyPI, and prints what a build and its tests
# need in their environment.
#
#     eval "$(tests/cuda/toolkit.sh [FOLDER])"
#
# Takes 1.2 GB, by default in ~/.cache/vmfmix/cuda. Where there is no driver either, programs find a stand-in that knows of
# no device.
set -euo pipefail
folder=${1:-$HOME/.cache/vmfmix/cuda}
root=$folder/nvidia/cu13
lib=$root/lib
if [ ! -x "$root/bin/nvcc" ]; then
    python3 -m pip install --quiet --no-deps --disable-pip-version-check --target "$folder" \
        nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85 \
        'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cublas==13.0.*' 'nvidia-curand==10.4.0.*' >&2
fi
for file in "$lib"/*.so.*; do
    name=$(basename "$file")
    ln -sf "$name" "$lib/${name%%.so.*}.so"
done
ln -sfn lib "$root/lib64"
stand_in=$folder/no-driver
if [ ! -e "$stand_in/libcuda.so.1" ]; then
    mkdir -p "$stand_in"
    # Every entry point that the headers declare answers CUDA_ERROR_NO_DEVICE.
    grep -ohE '\bcu[A-Z][A-Za-z0-9_]*' "$root/include/cuda.h" | sort -u | sed 's/.*/int &(void) { return 100; }/' |
        gcc -x c -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$stand_in/libcuda.so.1" -
    ln -sf libcuda.so.1 "$stand_in/libcuda.so"
fi
driver=
ldconfig -p | grep -q 'libcuda\.so\.1' || driver=:$stand_in
cat <<END
export CUDA_HOME=$root CUDA_PATH=$root CUDA_ROOT=$root CUDA_TOOLKIT_ROOT_DIR=$root CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80}
export PATH=$root/bin:\$PATH
export LIBRARY_PATH=$lib:$stand_in\${LIBRARY_PATH:+:\$LIBRARY_PATH}
export LD_LIBRARY_PATH=$lib$driver\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
END
