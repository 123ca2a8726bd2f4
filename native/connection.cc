#include "connection.h"

#include <utility>

#include "typed_arrays.h"
#include "worker.h"

namespace {

using netlink::Outcome;

using Table = std::shared_ptr<host::TextFile>;

// Some 800 connections.
constexpr size_t kTablePiece = 65536;

Table* TakeTable(const Napi::Value& value) {
  if (value.IsExternal()) {
    Table* table = value.As<Napi::External<Table>>().Data();
    if (*table) return table;
  }
  throw Napi::TypeError::New(value.Env(), "expected an open connection table");
}

template <typename T>
std::shared_ptr<T> Shared() {
  return std::make_shared<T>();
}

}  // namespace

Napi::Function Connection::Define(Napi::Env env) {
  return DefineClass(env, "Connection",
                     {
                         InstanceMethod<&Connection::Open>("open"),
                         InstanceMethod<&Connection::Apply>("apply"),
                         InstanceMethod<&Connection::ReadService>("readService"),
                         InstanceMethod<&Connection::ReadServices>("readServices"),
                         InstanceMethod<&Connection::ReadDestinations>("readDestinations"),
                         InstanceMethod<&Connection::ReadAll>("readAll"),
                         InstanceMethod<&Connection::ReadPart>("readPart"),
                         InstanceMethod<&Connection::ReadColumns>("readColumns"),
                         InstanceMethod<&Connection::ReadConfig>("readConfig"),
                         InstanceMethod<&Connection::ReadDaemons>("readDaemons"),
                         InstanceMethod<&Connection::ReadInfo>("readInfo"),
                         InstanceMethod<&Connection::ReadTotals>("readTotals"),
                         InstanceMethod<&Connection::OpenTable>("openTable"),
                         InstanceMethod<&Connection::ReadTable>("readTable"),
                         InstanceMethod<&Connection::CloseTable>("closeTable"),
                         InstanceMethod<&Connection::Close>("close"),
                     });
}

Connection::Connection(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Connection>(info),
      choice_(std::make_unique<NamespaceChoice>(info[0])),
      silence_(info[1].ToNumber().Int32Value()) {}

std::shared_ptr<ipvs::Client> Connection::client(Napi::Env env) const {
  if (!client_) throw Napi::Error::New(env, "the connection is not open");
  return client_;
}

Napi::Value Connection::Open(const Napi::CallbackInfo& info) {
  if (!choice_) throw Napi::Error::New(info.Env(), "the connection was opened already");
  struct State {
    Outcome outcome;
    std::shared_ptr<netlink::NetworkNamespace> where;
  };
  auto state = Shared<State>();
  // The worker gets a copy of the choice, and the main thread comes back to a handle that may have
  // been collected: the reference keeps it.
  auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().ToObject()));
  return RunOnWorker(
      info.Env(),
      [state, choice = std::shared_ptr<NamespaceChoice>(std::move(choice_))] {
        state->outcome = choice->Open(&state->where);
      },
      [state, self, this](Napi::Env env) {
        if (state->outcome.ok()) client_ = std::make_shared<ipvs::Client>(state->where, silence_);
        self->Reset();
        return GiveOutcome(env, state->outcome);
      });
}

Napi::Value Connection::Apply(const Napi::CallbackInfo& info) {
  struct State {
    LentBytes operations;
    std::vector<Outcome> outcomes;
  };
  auto state = std::make_shared<State>(State{LentBytes(info[0], ipvs::OperationSize()), {}});
  return RunOnWorker(
      info.Env(),
      [state, client = client(info.Env())] {
        client->Apply(state->operations.bytes(), &state->outcomes);
      },
      [state](Napi::Env env) -> Napi::Value {
        return state->outcomes.empty() ? env.Undefined() : GiveOutcomes(env, state->outcomes);
      });
}

Napi::Value Connection::Read(Napi::Env env, RecordReader read) {
  struct State {
    Outcome outcome;
    ipvs::Records records;
  };
  auto state = Shared<State>();
  return RunOnWorker(
      env,
      [state, client = client(env), read = std::move(read)] {
        state->outcome = read(client.get(), &state->records);
      },
      [state](Napi::Env where) {
        return GiveRecords(where, state->outcome, std::move(state->records));
      });
}

Napi::Value Connection::ReadService(const Napi::CallbackInfo& info) {
  const ipvs::Records service = TakeBytes(info[0], ipvs::kServiceTable.config_size);
  return Read(info.Env(), [service](ipvs::Client* client, ipvs::Records* found) {
    return client->ReadService(service, found);
  });
}

Napi::Value Connection::ReadServices(const Napi::CallbackInfo& info) {
  return Read(info.Env(), [](ipvs::Client* client, ipvs::Records* found) {
    return client->ReadServices(found);
  });
}

Napi::Value Connection::ReadDestinations(const Napi::CallbackInfo& info) {
  const ipvs::Records service = TakeBytes(info[0], ipvs::kServiceTable.config_size);
  return Read(info.Env(), [service](ipvs::Client* client, ipvs::Records* found) {
    return client->ReadDestinations(service, found);
  });
}

Napi::Value Connection::ReadConfig(const Napi::CallbackInfo& info) {
  return Read(info.Env(),
              [](ipvs::Client* client, ipvs::Records* found) { return client->ReadConfig(found); });
}

Napi::Value Connection::ReadDaemons(const Napi::CallbackInfo& info) {
  return Read(info.Env(), [](ipvs::Client* client, ipvs::Records* found) {
    return client->ReadDaemons(found);
  });
}

Napi::Value Connection::ReadTotals(const Napi::CallbackInfo& info) {
  return Read(info.Env(), [](ipvs::Client* client, ipvs::Records* found) {
    std::string text;
    Outcome outcome = host::ReadText(client->where(), "ip_vs_stats", &text);
    found->assign(text.begin(), text.end());
    return outcome;
  });
}

Napi::Value Connection::OpenTable(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    Table table = std::make_shared<host::TextFile>();
  };
  auto state = Shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, client = client(info.Env())] {
        state->outcome = host::TextFile::Open(client->where(), "ip_vs_conn", state->table.get());
      },
      [state](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("failure", GiveOutcome(env, state->outcome));
        auto table = std::make_unique<Table>(state->table);
        result.Set("table", Napi::External<Table>::New(env, table.release(),
                                                       [](Napi::Env /*env*/, Table* collected) {
                                                         std::unique_ptr<Table>(collected).reset();
                                                       }));
        return result;
      });
}

// N-API calls these two on the handle, so they are no static functions.
// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
Napi::Value Connection::ReadTable(const Napi::CallbackInfo& info) {
  struct State {
    Outcome outcome;
    ipvs::Records bytes;
  };
  auto state = Shared<State>();
  return RunOnWorker(
      info.Env(),
      [state, table = *TakeTable(info[0])] {
        state->outcome = table->Read(kTablePiece, &state->bytes);
      },
      [state](Napi::Env env) { return GiveRecords(env, state->outcome, std::move(state->bytes)); });
}

// A read that is under way keeps the file until it ends.
// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
void Connection::CloseTable(const Napi::CallbackInfo& info) { TakeTable(info[0])->reset(); }

Napi::Value Connection::ReadInfo(const Napi::CallbackInfo& info) {
  return Read(info.Env(),
              [](ipvs::Client* client, ipvs::Records* found) { return client->ReadInfo(found); });
}

Napi::Value Connection::ReadSnapshot(Napi::Env env, SnapshotReader read) {
  struct State {
    Outcome outcome;
    ipvs::Snapshot snapshot;
  };
  auto state = Shared<State>();
  return RunOnWorker(
      env,
      [state, client = client(env), read = std::move(read)] {
        state->outcome = read(client.get(), &state->snapshot);
      },
      [state](Napi::Env where) -> Napi::Value {
        ipvs::Snapshot& snapshot = state->snapshot;
        Napi::Object result = Napi::Object::New(where);
        result.Set("failure", GiveOutcome(where, state->outcome));
        result.Set("services", GiveBytes(where, std::move(snapshot.services)));
        result.Set("destinations", GiveBytes(where, std::move(snapshot.destinations)));
        result.Set("counts", GiveBytes(where, snapshot.counts.data(),
                                       snapshot.counts.size() * sizeof(uint32_t)));
        return result;
      });
}

Napi::Value Connection::ReadAll(const Napi::CallbackInfo& info) {
  return ReadSnapshot(info.Env(), [consistent = info[0].ToBoolean().Value()](
                                      ipvs::Client* client, ipvs::Snapshot* snapshot) {
    return client->ReadAll(consistent, snapshot);
  });
}

Napi::Value Connection::ReadPart(const Napi::CallbackInfo& info) {
  auto services =
      std::make_shared<ipvs::Records>(TakeBytes(info[0], ipvs::kServiceTable.record_size, true));
  const size_t enough = info[1].ToNumber().Uint32Value();
  return ReadSnapshot(info.Env(),
                      [services, enough](ipvs::Client* client, ipvs::Snapshot* snapshot) {
                        return client->ReadPart(*services, enough, snapshot);
                      });
}

Napi::Value Connection::ReadColumns(const Napi::CallbackInfo& info) {
  struct State {
    explicit State(bool wide) : columns(wide) {}
    Outcome outcome;
    ipvs::TableColumns columns;
  };
  const bool wide = info[0].ToBoolean().Value();
  auto state = std::make_shared<State>(wide);
  return RunOnWorker(
      info.Env(),
      [state, client = client(info.Env()), wide] {
        state->outcome = client->ReadColumns(wide, &state->columns);
      },
      [state](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("failure", GiveOutcome(env, state->outcome));
        result.Set("columns", GiveColumns(env, &state->columns));
        return result;
      });
}

void Connection::Close(const Napi::CallbackInfo& /*info*/) { client_.reset(); }
