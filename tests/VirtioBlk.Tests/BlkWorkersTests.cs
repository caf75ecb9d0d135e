using TestKit;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>The device's threads for what has to wait.</summary>
public sealed class BlkWorkersTests
{
    [Fact]
    public void Where_the_host_gives_no_further_thread_those_that_are_there_do_it_all()
    {
        const int runs = 4;
        Signal begun = new(), finish = new(), all = new();
        int served = 0;
        BlkWorkers workers = new("test-io", 16, together: false, (_, _) =>
        {
            begun.Set();
            finish.Wait();
            if (Interlocked.Increment(ref served) == runs) all.Set();
        });
        workers.Add(new BlkRequest(null!));
        begun.Wait();
        HostLimits.Threads(0, () =>
        {
            Assert.Throws<OutOfMemoryException>(new Thread(static () => { }).Start);
            // The first had a second thread made if the first thread was not waiting yet: one of these finds nobody.
            for (int i = 1; i < runs; i++) workers.Add(new BlkRequest(null!));
        });
        finish.Set();
        all.Wait();
        workers.End();
    }
}
