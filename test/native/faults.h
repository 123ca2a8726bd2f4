// What the tests of faults share: a client of a kernel that a test makes misbehave, and the rule
// that after each fault the next call works and no descriptor is left.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ipvs/client.h"
#include "kernel.h"

namespace faults {

using Replies = std::vector<peer::Reply>;

constexpr int kSilence = 40;  // ms
constexpr uint32_t kStranger = 4711;

// Ends the program, and names the test, unless it holds.
void Check(bool holds, const std::string& what);

bool Is(const netlink::Outcome& outcome, netlink::Stage stage, int error);
std::string Describe(const netlink::Outcome& outcome);

uint32_t SequenceOf(const peer::Reply& reply);
void SetSequence(peer::Reply* reply, uint32_t sequence);

// A kernel and a client of it.
struct Bed {
  model::Kernel kernel;
  ipvs::Client client{nullptr, kSilence};

  Bed() { peer::Play(kernel.script()); }

  std::vector<netlink::Outcome> Apply(const std::vector<uint32_t>& fwmarks,
                                      ipvs::Command command = ipvs::kNewService);
  netlink::Outcome Read(size_t* count = nullptr);
  // After a fault: everything works again.
  void Recovers();
};

// What a change and a read answer while the fault lasts.
void Expect(const std::function<void(Replies*)>& spoil, int error_of_change, int error_of_read);

struct Test {
  const char* name;
  void (*run)();
};

#define TEST(name) \
  { #name, Test##name }

void Run(const std::vector<Test>& tests);

}  // namespace faults
