// What a program and the emulated board have to do with each other.
#pragma once

#include <cstddef>

/// What runs after reset. \return zero where all is well
int firmware();

namespace board {

void print(const char* text);
void print_hex(std::size_t number);

/// How many bytes of stack a function takes, with all that it calls, on the way that it goes.
std::size_t stack_of(void (*function)());

}  // namespace board
