// All of the library but fmt.hpp, which needs {fmt}. Layer 6.
//
//     #include <sse/sse.hpp>
#pragma once

#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"
#include "io.hpp"
#include "line.hpp"
#include "parser.hpp"
#include "version.hpp"
