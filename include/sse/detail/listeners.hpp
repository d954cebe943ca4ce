// Functions to be called for each event of a kind, in the order in which they were added.
#pragma once

#include <utility>

namespace sse::detail {

/// A list to which listeners may be added while they are being called. Not std::list: with that, including
/// sse.hpp would cost the compiler 3 % more.
template <class Listener>
class listeners {
    struct node {
        Listener listener;
        node* next = nullptr;
    };
    node* first_ = nullptr;
    node* last_ = nullptr;  // null exactly if `first_` is

public:
    listeners() noexcept = default;
    listeners(const listeners&) = delete;
    listeners& operator=(const listeners&) = delete;
    ~listeners() {
        while (first_ != nullptr) delete std::exchange(first_, first_->next);
    }

    /// \throws what the allocator throws; nothing is added then
    void add(Listener listener) {
        node* const added = new node{std::move(listener)};
        (first_ == nullptr ? first_ : last_->next) = added;
        last_ = added;
    }

    /// Runs `call(listener)` for those that are in the list now. A call may add others, whose turn comes with
    /// the next event. What a call throws passes through.
    template <class Call>
    void for_each(Call call) const {
        const node* const last = last_;
        for (const node* each = first_; each != nullptr; each = each == last ? nullptr : each->next) {
            call(each->listener);
        }
    }
};

}  // namespace sse::detail
