// Listeners are called in their order, and may add others meanwhile.
#include <sse/detail/listeners.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace {

using listeners = sse::detail::listeners<std::function<void()>>;

// Whoever is calling them refers to it.
static_assert(!std::is_copy_constructible_v<listeners> && !std::is_move_constructible_v<listeners>);

constexpr auto call = [](const auto& listener) { listener(); };

}  // namespace

TEST_CASE("listeners are called in the order in which they were added") {
    std::string calls;
    listeners list;
    list.for_each(call);
    CHECK(calls.empty());
    for (const char name : {'a', 'b', 'c'}) {
        list.add([&calls, name] { calls += name; });
        list.for_each(call);
        calls += ' ';
    }
    CHECK(calls == "a ab abc ");
}

TEST_CASE("a listener that is added while others are called is called the next time") {
    std::string calls;
    listeners list;
    list.add([&] {
        calls += 'a';
        for (int i = 0; i < 100; ++i) list.add([&] { calls += 'b'; });
        calls += 'A';  // it has stayed where it was
    });
    list.for_each(call);
    CHECK(calls == "aA");
    calls.clear();
    list.for_each(call);
    CHECK(calls == "aA" + std::string(100, 'b'));
}

TEST_CASE("what a listener throws passes through, and those after it are not called") {
    std::string calls;
    listeners list;
    list.add([&] { calls += 'a'; });
    list.add([] { throw std::runtime_error("b"); });
    list.add([&] { calls += 'c'; });
    CHECK_THROWS_AS(list.for_each(call), std::runtime_error);
    CHECK(calls == "a");
}

TEST_CASE("listeners live as long as the list") {
    const auto counted = std::make_shared<int>();
    {
        listeners list;
        for (int i = 0; i < 3; ++i) list.add([counted] {});
        CHECK(counted.use_count() == 4);
    }
    CHECK(counted.use_count() == 1);
}
