// Pieces of work that write what only they may write, by pools of one to four threads, again and again. Meant for the thread
// sanitizer: a piece that two workers took, or a result that the caller reads too early, is a race.
#include "../thread_pool.h"

#include <cstdio>

int main() {
    for (int threads = 1; threads <= 4; ++threads) {
        ThreadPool pool(threads);
        std::vector<int> by_worker(threads), done;
        int asked = 0;
        for (int round = 0; round < 200; ++round) {
            const int pieces = 1 + round % 9;
            done.assign(pieces, 0);
            asked += pieces;
            const ThreadPool::Work work = [&](int worker, int piece) {
                ++by_worker[worker];
                done[piece] += 1 + piece;
            };
            pool.run(pieces, work);
            for (int piece = 0; piece < pieces; ++piece)
                if (done[piece] != 1 + piece) return fprintf(stderr, "piece %d of %d was not done once\n", piece, pieces), 1;
        }
        int taken = 0;
        for (int count : by_worker) taken += count;
        if (taken != asked) return fprintf(stderr, "%d threads took %d pieces\n", threads, taken), 1;
    }
    return 0;
}
