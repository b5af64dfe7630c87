// Threads that sleep until there is work, and then take pieces of it from a counter.
//
//     run(n, work):   caller ─┬─ work(0, piece 0) … work(0, piece 3) … ─┐
//                    thread 1 ├─ work(1, piece 1) …                      ├─ returns when all n are done
//                    thread 2 └─ wakes up too late: nothing is left     ─┘
//
// The caller is worker 0. Whoever waits looks for SPIN microseconds, in which the next frame of a stream without a pause
// comes, and then sleeps on a condition variable: a virtual processor that sleeps takes as long to wake up as a small frame
// to run. Nothing spins longer, and nothing while it is idle. Threads inherit the affinity of the thread that makes the pool. A
// forked child has no threads but its own: there the caller takes every piece. So does a browser, whose workers share no
// memory (browser.cpp).
#pragma once

#include <functional>

#if defined(__wasm__)

struct Signal {  // nobody waits for the only thread
    void clear() {}
    void set() {}
    void wait() {}
};

class ThreadPool {
public:
    using Work = std::function<void(int worker, int piece)>;

    explicit ThreadPool(int) {}
    bool of_this_process() const { return true; }
    void run(int pieces, const Work& work) {
        for (int piece = 0; piece < pieces; ++piece) work(0, piece);
    }
};

#else

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

constexpr std::chrono::microseconds SPIN{50};

// Looks whether something has come about, for SPIN microseconds at most.
template <class Condition>
void look_for(Condition met) {
    const auto end = std::chrono::steady_clock::now() + SPIN;
    while (!met() && std::chrono::steady_clock::now() < end) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
}

// Something that one thread has done and another may wait for.
class Signal {
public:
    void clear() { done_ = false; }  // while nobody else is at it
    void set() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (done_) return;
            done_ = true;
        }
        wake_.notify_all();
    }
    void wait() {
        look_for([this] { return done_.load(); });
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return done_.load(); });
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<bool> done_{false};
};

class ThreadPool {
public:
    using Work = std::function<void(int worker, int piece)>;

    explicit ThreadPool(int threads) {
        try {
            for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
        } catch (...) {
            stop();
            throw;
        }
    }
    ~ThreadPool() { stop(); }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // False in a forked child, where the pool can be neither woken nor destroyed: whoever waits there waits forever.
    bool of_this_process() const { return getpid() == owner_; }

    void run(int pieces, const Work& work) {
        if (workers_.empty() || pieces == 1 || !of_this_process()) {
            for (int piece = 0; piece < pieces; ++piece) work(0, piece);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            pieces_ = left_ = pieces;
            ++round_;
            next_ = round_ << 32;
        }
        wake_.notify_all();
        take(0, round_ & UINT32_MAX, work, pieces);
        const auto done = [this] { return left_ == 0; };
        look_for(done);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, done);
    }

private:
    // Takes pieces of this round until none is left, or until the next round has begun.
    void take(int worker, uint64_t round, const Work& work, int pieces) {
        for (uint64_t next = next_; next >> 32 == round && static_cast<int>(next & UINT32_MAX) < pieces;) {
            if (!next_.compare_exchange_weak(next, next + 1)) continue;
            work(worker, static_cast<int>(next & UINT32_MAX));
            if (--left_ == 0 && worker) {
                { std::lock_guard<std::mutex> lock(mutex_); }  // whoever found a piece left is asleep by now
                done_.notify_one();
            }
            next = next_;
        }
    }

    void serve(int worker) {
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t seen = 0;;) {
            const auto called = [&] { return stopped_ || round_ != seen; };
            wake_.wait(lock, called);
            if (stopped_) return;
            seen = round_;
            const Work& work = *work_;
            const int pieces = pieces_;
            lock.unlock();
            take(worker, seen & UINT32_MAX, work, pieces);
            look_for(called);
            lock.lock();
        }
    }

    void stop() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopped_ = true;
        }
        wake_.notify_all();
        for (std::thread& one : workers_) one.join();
    }

    const pid_t owner_ = getpid();
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const Work* work_ = nullptr;
    int pieces_ = 0;
    std::atomic<uint64_t> next_{0};  // the round above the next piece, 32 bits each: who is late takes nothing of another round
    std::atomic<int> left_{0};       // pieces that are not done
    std::atomic<uint64_t> round_{0};
    std::atomic<bool> stopped_{false};
    std::vector<std::thread> workers_;
};

#endif
