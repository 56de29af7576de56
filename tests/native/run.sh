#!/bin/sh
# Builds the C++ tests of the engine and runs them: plainly, and under AddressSanitizer with UndefinedBehaviorSanitizer,
# and under ThreadSanitizer. Usage: tests/native/run.sh [plain] [address] [thread]   (all three if none is named)
set -eu
cd "$(dirname "$0")/../.."
out=${TMPDIR:-/tmp}/carousel-native-tests
for kind in ${*:-plain address thread}; do
    case $kind in
        plain) flags="" ;;
        address) flags="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
        thread) flags="-fsanitize=thread" ;;
    esac
    # Threads are std::thread here: sanitizers cannot see into OpenMP's runtime.
    cmake -S . -B "$out/$kind" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCAROUSEL_TESTS=ON -DCMAKE_CXX_FLAGS="$flags" >"$out-$kind.log" 2>&1 ||
        { cat "$out-$kind.log"; exit 1; }
    cmake --build "$out/$kind" --target test_engine >>"$out-$kind.log" 2>&1 || { cat "$out-$kind.log"; exit 1; }
    echo "== $kind"
    "$out/$kind/test_engine"
done
