// The library beside what the machine can do at all and what people would use instead.
#include "measure.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

#if defined(__clang__)
constexpr char compiler[] = __VERSION__;
#else
constexpr char compiler[] = "g++ " __VERSION__;
#endif

std::size_t calls_of_new = 0;

}  // namespace

void* operator new(std::size_t size) {
    ++calls_of_new;
    if (void* const block = std::malloc(size)) return block;
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

std::size_t bench::allocations() { return calls_of_new; }

int main(int argc, char** argv) {
    bench::register_parsers();
    bench::register_encoders();
    bench::register_publishers();
    benchmark::AddCustomContext("compiler", compiler);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
}
