namespace Virtio.Tests;

/// <summary>
/// Runs two pieces of code at the same moment on two threads, again and again. The first begins with a store buffer
/// full of slow stores, so that a load which nothing keeps behind its own stores overtakes them: on x86 that is the one
/// reordering.
/// </summary>
internal static class Litmus
{
    private const int Lines = 24, LongsPerLine = 8;

    public static void Run(int rounds, Action prepare, Action one, Action other, Action check)
    {
        int started = 0, finished = 0;
        long[] contended = new long[Lines * LongsPerLine];
        Thread second = new(() =>
        {
            Random random = new(rounds);
            for (int round = 1; round <= rounds; round++)
            {
                Await(ref started, (2 * round) - 1);
                Interlocked.Increment(ref started);
                // It begins a little earlier than the first, which has to hear of the start and to fill its store
                // buffer.
                for (int delay = random.Next(1500); delay > 0; delay--) Volatile.Read(ref started);
                other();
                StoreAll(contended); // into this core's cache, away from the other's
                Volatile.Write(ref finished, round);
            }
        });
        second.Start();
        for (int round = 1; round <= rounds; round++)
        {
            prepare();
            Interlocked.Increment(ref started);
            Await(ref started, 2 * round);
            StoreAll(contended);
            one();
            Await(ref finished, round);
            check();
        }

        second.Join();
    }

    private static void StoreAll(long[] lines)
    {
        for (int i = 0; i < lines.Length; i += LongsPerLine) lines[i] = i;
    }

    /// <summary>
    /// Spins, since a wake-up would take far longer than what is to be caught; yields where the other is not running.
    /// </summary>
    private static void Await(ref int counter, int value)
    {
        SpinWait spin = default;
        while (Volatile.Read(ref counter) < value) spin.SpinOnce(sleep1Threshold: -1);
    }
}
