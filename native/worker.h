// Work on a worker thread behind a promise. The only place that settles promises.
#pragma once

#include <napi.h>

#include <functional>

// Below this file nothing includes napi.h.

// Runs `work` on a thread of our own (threads.h); then, on the main thread, resolves the promise
// with what `finish` makes of it. Neither may touch JavaScript values of the caller. The promise
// rejects only when `work` throws (out of memory), or when there is no thread and none can be
// started (the error's `errno` is positive then), since what the kernel says is a value, not an
// exception.
Napi::Promise RunOnWorker(Napi::Env env, std::function<void()> work,
                          std::function<Napi::Value(Napi::Env)> finish);
