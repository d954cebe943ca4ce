// From reset to firmware() and back, and a way to speak: all that is below a program.
#include "board.hpp"

#include <cstddef>
#include <cstdint>

extern "C" {
// From the linker script.
extern std::uint32_t data_begin[], data_end[], bss_begin[], bss_end[], stack_begin[], stack_end[];
extern const std::uint32_t data_image[];

[[noreturn]] void reset();
[[noreturn]] void fault();
}

namespace {

/// Asks the emulator, by the calls that are known as semihosting.
void ask(std::uintptr_t call, std::uintptr_t argument) {
    register std::uintptr_t r0 __asm__("r0") = call;
    register std::uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

[[noreturn]] void end(bool good) {
    constexpr std::uintptr_t application_exit = 0x20026, run_time_error = 0x20023;
    for (;;) ask(0x18, good ? application_exit : run_time_error);
}

constexpr std::uint32_t paint = 0xA5A5A5A5;

}  // namespace

void board::print(const char* text) { ask(0x04, reinterpret_cast<std::uintptr_t>(text)); }

void board::print_hex(std::size_t number) {
    char text[9] = {};
    for (std::size_t i = 8; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
    print(text);
}

std::size_t board::stack_of(void (*function)()) {
    std::uintptr_t here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    const auto top = reinterpret_cast<std::uint32_t*>(here);
    for (volatile std::uint32_t* word = stack_begin; word != top; ++word) *word = paint;
    function();
    const volatile std::uint32_t* deepest = stack_begin;
    while (*deepest == paint) ++deepest;
    return here - reinterpret_cast<std::uintptr_t>(deepest);
}

void reset() {
    const std::uint32_t* from = data_image;
    for (std::uint32_t* to = data_begin; to != data_end;) *to++ = *from++;
    for (std::uint32_t* to = bss_begin; to != bss_end;) *to++ = 0;
    end(firmware() == 0);
}

void fault() {
    board::print("fault\n");
    end(false);
}

[[gnu::section(".vectors"), gnu::used]] static void (*const vectors[])() = {
    reinterpret_cast<void (*)()>(stack_end), reset, fault, fault};  // the stack, reset, NMI, hard fault
