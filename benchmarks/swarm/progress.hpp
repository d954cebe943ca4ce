// Which events the subscribers of swarm still wait for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace swarm {

// Who of all the subscribers still waits for which events. The window and the end of a run depend on it.
class progress {
public:
    explicit progress(std::size_t subscribers) : subscribers_(subscribers) {}

    std::uint64_t published() const { return first_ + served_.size() - 1; }
    bool is_complete() const { return served_.empty(); }
    bool is_deserted() const { return absent_ == subscribers_; }
    std::uint64_t ahead() const { return served_.size(); }

    void add_event() {
        served_.push_back(absent_);
        drop_complete();
    }

    // A subscriber waits no more for the events after `from`, up to and with `to`.
    void serve(std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t number = std::max(from + 1, first_); number <= to; ++number)
            ++served_[number - first_];
        if (from + 1 == first_) drop_complete();
    }

    // A subscriber that has the events up to `last` waits for none any more.
    void leave(std::uint64_t last) {
        serve(last, published());
        ++absent_;
    }

private:
    void drop_complete() {
        for (; !served_.empty() && served_.front() == subscribers_; ++first_) served_.pop_front();
    }

    std::size_t subscribers_;
    std::size_t absent_ = 0;
    std::uint64_t first_ = 1;           // that not all have
    std::deque<std::size_t> served_{};  // how many do not wait for it, for each event from that on
};

}  // namespace swarm
