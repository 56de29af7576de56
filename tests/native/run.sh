#!/bin/sh
# Builds the C++ tests of the engine and runs them: plainly, and under AddressSanitizer with UndefinedBehaviorSanitizer,
# and under ThreadSanitizer. Usage: tests/native/run.sh [--quick] [plain] [address] [thread]   (all three if none is named)
# --quick: one instruction set, fewer shapes, and less work for the compiler. clang: built by it. neon: for ARM, with
# Debian's g++-aarch64-linux-gnu and qemu-user-static.
set -eu
quick="" engine="" optimised="-O2 -g1 -DNDEBUG"
if [ "${1:-}" = --quick ]; then
    quick=--quick engine="-DCAROUSEL_PORTABLE_ONLY=ON" optimised="-O1 -g1 -DNDEBUG"; shift
fi
cd "$(dirname "$0")/../.."
out=build/tests-native$quick
mkdir -p "$out"
for kind in ${*:-plain address thread}; do
    machine="" emulator=""
    case $kind in
        neon)
            flags="" emulator="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
            machine="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++"
            ;;
        plain) flags="" ;;
        clang) flags="" machine="-DCMAKE_CXX_COMPILER=clang++" ;;
        address) flags="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
        thread) flags="-fsanitize=thread" ;;
    esac
    # Threads are std::thread here: sanitizers cannot see into OpenMP's runtime.
    cmake -S . -B "$out/$kind" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCAROUSEL_TESTS=ON $engine $machine \
        -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="$optimised" >"$out-$kind.log" 2>&1 ||
        { cat "$out-$kind.log"; exit 1; }
    cmake --build "$out/$kind" --target test_engine >>"$out-$kind.log" 2>&1 || { cat "$out-$kind.log"; exit 1; }
    echo "== $kind"
    $emulator "$out/$kind/test_engine" $quick
done
