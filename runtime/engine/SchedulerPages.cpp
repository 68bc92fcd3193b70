// Pages: taken where a request is admitted and where a row needs one more,
// shared, published, given back.
#include <algorithm>

#include "runtime/engine/Scheduler.h"

namespace hadal::engine {

namespace {

/// Tokens of room that a preempted request waits for, beside its own: one that
/// comes back and is thrown out again at once would help nobody.
constexpr uint64_t kReturnRoom = 64;

} // namespace

int32_t Scheduler::takePage() {
  if (!pool_.free())
    cache_.evict();
  return pool_.take();
}

bool Scheduler::takePages(Entry &entry) {
  const Request &request = entry.request();
  const uint64_t full = entry.promptSize() / limits_.pageSize;
  // Room for all tokens whose latents are known to be needed: what has been
  // generated is fed again, but for the last one, which is not in the cache
  // yet.
  auto reservedBy = [&](const Choice &choice) {
    return entry.promptSize() + std::max<uint64_t>(choice.generated.size(), 1) -
           1;
  };
  Choice *&first = entry.owner = nullptr;
  uint64_t pages = full;
  for (auto &choice : entry.choices) {
    if (choice->ended())
      continue;
    if (!first)
      first = choice.get();
    pages += limits_.pagesFor(reservedBy(*choice)) - full;
  }
  if (options_.prefixCache && !request.promptLogprobs)
    first->chain = cache_.match(request.cacheSalt, request.prompt);
  const uint64_t own = pages - first->chain.size();
  uint64_t room = 0;
  if (!running_.empty())
    room = liveRows() + (entry.preemptions ? limits_.pagesFor(kReturnRoom) : 1);
  if (own + room > pool_.free() + cache_.unheld()) {
    cache_.release(first->chain);
    return false;
  }
  if (!entry.preemptions) {
    statistics_.prefixQueries += entry.promptSize();
    entry.usage.cachedTokens = first->chain.size() * limits_.pageSize;
    statistics_.prefixHits += entry.usage.cachedTokens;
  }
  for (auto &choice : entry.choices) {
    if (choice->ended())
      continue;
    choice->reserved = reservedBy(*choice);
    uint64_t needed = limits_.pagesFor(choice->reserved);
    if (choice.get() == first) {
      for (const PrefixCache::Node *node : first->chain)
        choice->pages.push_back(node->page);
      // The last token of the prompt is computed in any case: its logits are
      // needed.
      choice->length = std::min(first->chain.size() * limits_.pageSize,
                                entry.promptSize() - 1);
    } else {
      needed -= full;
    }
    while (choice->pages.size() < needed)
      choice->pages.push_back(takePage());
  }
  return true;
}

bool Scheduler::reserve(size_t index) {
  Entry &entry = *running_[index];
  for (auto &each : entry.choices) {
    Choice &choice = *each;
    if (choice.ended() || choice.length < choice.reserved)
      continue;
    if (limits_.pagesFor(choice.length + 1) > choice.pages.size()) {
      while (!pool_.free() && !cache_.evict() && running_.size() > index + 1)
        preempt(running_.size() - 1);
      if (!pool_.free() && running_.size() > 1) {
        preempt(index);
        return false;
      }
      if (!pool_.free()) {
        // Alone, and the cache is full: nobody will ever give a page back.
        choice.output.end(FinishReason::Length, {}, /*full=*/true);
        deliver(entry, choice);
        continue;
      }
      choice.pages.push_back(takePage());
    }
    choice.reserved = choice.length + 1;
  }
  return true;
}

void Scheduler::preempt(size_t index) {
  const auto at = running_.begin() + static_cast<ptrdiff_t>(index);
  std::unique_ptr<Entry> entry = std::move(*at);
  running_.erase(at);
  for (auto &choice : entry->choices)
    releasePages(*choice);
  entry->forked = false;
  entry->promptLogprobs.clear(); // of a prompt that is computed again
  entry->preempted = true;
  entry->preemptions += 1;
  statistics_.preemptions += 1;
  waiting_.push_back(std::move(entry));
}

void Scheduler::releasePages(Choice &choice) {
  for (size_t i = choice.pages.size(); i > choice.chain.size(); --i)
    pool_.release(choice.pages[i - 1]);
  cache_.release(choice.chain);
  choice.pages.clear();
  choice.length = choice.reserved = 0;
}

void Scheduler::publish(Entry &entry) {
  const Request &request = entry.request();
  Choice &choice = *entry.owner;
  if (!options_.prefixCache)
    return;
  const uint64_t size = limits_.pageSize;
  while ((choice.chain.size() + 1) * size <=
         std::min(choice.length, entry.promptSize())) {
    const size_t i = choice.chain.size();
    cache_.publish(request.cacheSalt, choice.chain,
                   std::span(request.prompt).subspan(i * size, size),
                   choice.pages[i]);
    choice.pages[i] = choice.chain.back()->page;
  }
}

Status Scheduler::fork(Entry &entry) {
  const uint64_t full = entry.promptSize() / limits_.pageSize;
  const bool partial = entry.promptSize() % limits_.pageSize;
  const Choice *first = entry.owner;
  for (auto &choice : entry.choices) {
    if (choice->ended() || choice.get() == first)
      continue;
    // The last page is copied: each choice writes behind the prompt's end.
    if (partial)
      HADAL_RETURN_IF_ERROR(
          runner_.copyPage(choice->pages[0], first->pages[full]));
    for (size_t i = 0; i < full; ++i)
      pool_.share(first->pages[i]);
    choice->pages.insert(choice->pages.begin(), first->pages.begin(),
                         first->pages.begin() + static_cast<ptrdiff_t>(full));
    choice->chain = first->chain;
    choice->length = entry.promptSize();
  }
  entry.forked = true;
  return {};
}

} // namespace hadal::engine
