#include "worker.h"

#include <utility>

namespace {

class Task : public Napi::AsyncWorker {
 public:
  Task(Napi::Env env, const char* name, std::function<void()> work,
       std::function<Napi::Value(Napi::Env)> finish)
      : Napi::AsyncWorker(env, name),
        promise_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise promise() const { return promise_.Promise(); }

  void Execute() override { work_(); }
  void OnOK() override {
    try {
      promise_.Resolve(finish_(Env()));
    } catch (const Napi::Error& error) {
      promise_.Reject(error.Value());
    } catch (const std::exception& error) {
      promise_.Reject(Napi::Error::New(Env(), error.what()).Value());
    }
  }
  void OnError(const Napi::Error& error) override { promise_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred promise_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> finish_;
};

}  // namespace

Napi::Promise RunOnWorker(Napi::Env env, const char* name, std::function<void()> work,
                          std::function<Napi::Value(Napi::Env)> finish) {
  auto* task = new Task(env, name, std::move(work), std::move(finish));  // deletes itself when done
  Napi::Promise promise = task->promise();
  task->Queue();
  return promise;
}
