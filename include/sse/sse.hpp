// All of the library but fmt.hpp, which needs {fmt}. Layer 6.
//
//     #include <sse/sse.hpp>
#pragma once

#include "backoff.hpp"
#include "channel.hpp"
#include "channel_types.hpp"
#include "encoder.hpp"
#include "error.hpp"
#include "event.hpp"
#include "event_source.hpp"
#include "http.hpp"
#include "http1.hpp"
#include "io.hpp"
#include "parser.hpp"
#include "session.hpp"
#include "sink.hpp"
#include "url.hpp"
#include "version.hpp"
