// Every reply that real kernels gave (test/fixtures), cut at every byte and with every byte
// changed: an error or no more than the whole reply has, of which a changed byte spoils one entry,
// and no byte read outside of it.

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>

#include "ipvs/client.h"
#include "kernel.h"
#include "route/addresses.h"
#include "route/fou.h"

namespace {

using ipvs::Records;
using Datagram = std::vector<uint8_t>;

void Check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << "\n";
  std::exit(1);
}

std::vector<Datagram> RepliesIn(const char* file) {
  std::ifstream lines(std::string(SOURCE_FOLDER "/test/fixtures/") + file);
  std::vector<Datagram> replies;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("RX ", 0) != 0) continue;
    Datagram reply;
    for (size_t at = 3; at + 1 < line.size(); at += 2) {
      reply.push_back(static_cast<uint8_t>(std::stoul(line.substr(at, 2), nullptr, 16)));
    }
    reply.shrink_to_fit();
    replies.push_back(reply);
  }
  Check(!replies.empty(), std::string(file) + " has replies");
  return replies;
}

// Calls `use` with every damaged form of the datagram, each in memory of exactly its size.
size_t Damage(const Datagram& whole, const std::vector<uint8_t>& changes,
              const std::function<void(const Datagram&, bool cut)>& use) {
  size_t forms = 0;
  for (size_t size = 0; size < whole.size(); ++size, ++forms) {
    Datagram cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    cut.shrink_to_fit();
    use(cut, true);
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t bits : changes) {
      Datagram changed = whole;
      changed[at] = static_cast<uint8_t>(changed[at] ^ bits);
      use(changed, false);
      ++forms;
    }
  }
  return forms;
}

struct Form {
  const netlink::Table& table;
  uint16_t top;
};

constexpr Form kForms[] = {
    {ipvs::kServiceTable, ipvs::kAttrService},
    {ipvs::kDestinationTable, ipvs::kAttrDest},
    {ipvs::kDaemonTable, ipvs::kAttrDaemon},
    {ipvs::kConfigTable, 0},
    {ipvs::kInfoTable, 0},
};

// What was read, until the datagram was refused.
Records ReadRecords(const Form& form, const Datagram& datagram, bool* refused) {
  netlink::MessageReader messages({datagram.data(), datagram.size()});
  netlink::Message message;
  Records records;
  *refused = false;
  while (messages.Next(&message)) {
    if (message.type < NLMSG_MIN_TYPE) continue;
    if (!ipvs::ReadRecord(form.table, form.top, message, &records)) *refused = true;
  }
  *refused = *refused || messages.malformed();
  return records;
}

size_t CountMessages(const Datagram& datagram) {
  netlink::MessageReader messages({datagram.data(), datagram.size()});
  netlink::Message message;
  size_t count = 0;
  while (messages.Next(&message)) ++count;
  return count;
}

// Of as many, how many differ.
size_t CountDifferences(size_t record_size, const Records& one, const Records& other) {
  size_t different = 0;
  for (size_t at = 0; at < one.size(); at += record_size) {
    different += std::memcmp(&one[at], &other[at], record_size) == 0 ? 0 : 1;
  }
  return different;
}

// A changed byte may make an entry of another message, such as the end of a dump, or of one that
// has the form of another table; but of no message two.
void CheckFlipped(size_t record_size, const Records& whole, const Records& got, size_t messages) {
  Check(got.size() <= messages * record_size, "no more entries than there were messages");
  Check(whole.empty() || got.size() <= whole.size(), "nor than there were entries");
  if (got.size() != whole.size()) return;
  Check(CountDifferences(record_size, whole, got) <= 1, "and one is spoilt at most");
}

size_t TestReaders(const std::vector<Datagram>& replies) {
  size_t forms = 0;
  for (const Datagram& whole : replies) {
    for (const Form& form : kForms) {
      bool refused = false;
      const Records all = ReadRecords(form, whole, &refused);
      const size_t messages = CountMessages(whole);
      const auto use = [&](const Datagram& damaged, bool cut) {
        bool no = false;
        const Records got = ReadRecords(form, damaged, &no);
        if (!cut) return CheckFlipped(form.table.record_size, all, got, messages);
        Check(no || damaged.empty() || got.size() < all.size() || all.empty(),
              "a cut reply is refused or less");
        Check(got.size() <= all.size(), "and never more");
      };
      forms += Damage(whole, {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}, use);
    }
  }
  return forms;
}

void SetSequences(uint32_t sequence, Datagram* datagram) {
  size_t at = 0;
  while (at + sizeof(nlmsghdr) <= datagram->size()) {
    netlink::Store(datagram->data() + at + offsetof(nlmsghdr, nlmsg_seq), sequence);
    const size_t length = netlink::Align(netlink::Load<uint32_t>(datagram->data() + at));
    at += length < sizeof(nlmsghdr) ? datagram->size() : length;
  }
}

uint32_t LastSequence(netlink::Bytes sent) {
  netlink::MessageReader messages(sent);
  netlink::Message message;
  while (messages.Next(&message)) continue;
  return message.sequence;
}

// The replies that the kernel gives to one request after another; then recvmsg() fails.
void PlayReplies(const std::vector<Datagram>& replies) {
  peer::Script script;
  script.answer = [replies](netlink::Bytes sent, std::vector<peer::Reply>* answers) {
    for (const Datagram& reply : replies) {
      answers->push_back({reply});
      SetSequences(LastSequence(sent), &answers->back().bytes);
    }
    answers->push_back({{}, 0, EIO});
    return 0;
  };
  peer::Play(script);
}

void CheckWhole(size_t record_size, const Records& records, size_t messages) {
  Check(records.size() % record_size == 0, "whole records");
  Check(records.size() / record_size <= messages, "no more than there were messages");
}

// A dump, and its end. What the damaged reply says of the family's number counts for nothing here.
size_t TestClient(const std::vector<Datagram>& replies) {
  size_t forms = 0;
  const Datagram end = model::MakeDone(0).bytes;
  for (const Datagram& whole : replies) {
    const size_t messages = CountMessages(whole);
    forms += Damage(whole, {0xff}, [&](const Datagram& damaged, bool) {
      PlayReplies({damaged, end});
      Records addresses;
      if (route::ReadAddresses(nullptr, "", 1000, &addresses).ok()) {
        CheckWhole(route::kAddressTable.record_size, addresses, messages);
      }
      model::Kernel kernel;
      kernel.spoil = [&](std::vector<peer::Reply>* answers) {
        peer::Reply reply{damaged};
        SetSequences(netlink::Load<uint32_t>(answers->back().bytes.data() + 8), &reply.bytes);
        answers->insert(answers->begin(), reply);
        answers->push_back({{}, 0, EIO});
      };
      peer::Play(kernel.script());
      ipvs::Client client(nullptr, 1000);
      Records services;
      if (client.ReadServices(&services).ok()) {
        CheckWhole(ipvs::kServiceTable.record_size, services, messages);
      }
    });
  }
  return forms;
}

// Asks about a port of fou, and gets this for an answer.
netlink::Outcome AskForPort(const std::vector<Datagram>& family, const Datagram& port,
                            const Datagram& acknowledgement, route::Encapsulation* found) {
  peer::Script script;
  script.answer = [&](netlink::Bytes sent, std::vector<peer::Reply>* answers) {
    netlink::MessageReader messages(sent);
    netlink::Message message;
    const bool is_lookup = messages.Next(&message) && message.type == GENL_ID_CTRL;
    const std::vector<Datagram> replies =
        is_lookup ? family : std::vector<Datagram>{port, acknowledgement};
    for (const Datagram& reply : replies) {
      answers->push_back({reply});
      SetSequences(message.sequence, &answers->back().bytes);
    }
    return 0;
  };
  peer::Play(script);
  return route::ReadFouPort(nullptr, {AF_INET, 6080}, 1000, found);
}

size_t TestPorts(const std::vector<Datagram>& replies) {
  const std::vector<Datagram> family(replies.begin(), replies.begin() + 2);
  const Datagram& acknowledgement = replies[1];
  size_t forms = 0;
  // 6080 for GUE, 5555 directly, 6081 of IPv6 for GUE.
  for (const auto& [at, type] :
       {std::pair(6, route::Encapsulation::kGue), std::pair(8, route::Encapsulation::kDirect),
        std::pair(10, route::Encapsulation::kGue)}) {
    const Datagram& whole = replies[static_cast<size_t>(at)];
    route::Encapsulation found{};
    Check(AskForPort(family, whole, acknowledgement, &found).ok(), "a whole answer is one");
    Check(found == type, "and says what the port is for");
    forms += Damage(whole, {0x01, 0x80, 0xff}, [&](const Datagram& damaged, bool cut) {
      route::Encapsulation other{};
      const bool read = AskForPort(family, damaged, acknowledgement, &other).ok();
      Check(!read || !cut, "a cut answer is none");
      Check(!read || static_cast<uint32_t>(other) <= UINT8_MAX, "a type is a byte");
    });
  }
  return forms;
}

}  // namespace

int main() {
  std::vector<Datagram> replies = RepliesIn("golden-6.1.txt");
  for (const Datagram& reply : RepliesIn("golden-7.3.txt")) replies.push_back(reply);
  const size_t readers = TestReaders(replies);
  for (const Datagram& reply : RepliesIn("addresses-6.12.txt")) replies.push_back(reply);
  const size_t clients = TestClient(replies);
  const size_t ports = TestPorts(RepliesIn("fou-6.12.txt"));
  std::cout << replies.size() << " replies: " << readers << " damaged forms for the readers, "
            << clients << " for the clients; " << ports << " of 3 about ports of fou\n";
}
