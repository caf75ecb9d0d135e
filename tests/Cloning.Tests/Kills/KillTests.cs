using System.Diagnostics;
using System.Globalization;
using Cloning.Instances;
using Cloning.Isolation;
using Cloning.Tests.Faults;
using Xunit;

namespace Cloning.Tests.Kills;

/// <summary>
/// kill -9 of the instance's process at every step of a background reboot: what was flushed is there, the manifest names the state
/// before the commit or after it, and the shadow is gone.
/// </summary>
public sealed class KillTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(180);
    private readonly string _root = Directory.CreateTempSubdirectory("bgkvm-kill-").FullName;
    private readonly List<int> _gone = []; // shadows of killed instances

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Killed_at_random_moments_it_starts_again_with_the_state_before_or_after_the_commit()
    {
        // BGKVM_KILLS=200 is the full form.
        int kills = Environment.GetEnvironmentVariable("BGKVM_KILLS") is { Length: > 0 } more
            ? int.Parse(more, CultureInfo.InvariantCulture) : 10;
        Random random = new(kills);
        KillLedger ledger = new();
        Dictionary<string, int> moments = [];
        double cycle = 5000; // milliseconds from the start to the end of the first reboot, measured on the way
        for (int kill = 0; kill < kills; kill++)
        {
            // One half at any moment, the other around the two pauses and the commit.
            RebootPhase? at = random.Next(2) == 0 ? null : (RebootPhase)random.Next((int)RebootPhase.Prepare, (int)RebootPhase.After + 1);
            TimeSpan delay = TimeSpan.FromMilliseconds(random.NextDouble() * (at is null ? 1.2 * cycle : 6));
            using KilledInstance killed = KilledInstance.Start(_root, ledger.Last + 1);
            Process process = killed.Process;
            Stopwatch sinceStart = Stopwatch.StartNew();
            using ManualResetEventSlim now = new();
            Thread reader = new(() =>
            {
                while (process.StandardOutput.ReadLine() is { } line)
                {
                    lock (ledger) ledger.Hear(line);
                    if (at is null ? line == "open" : line == $"phase {at}") now.Set();
                    if (line.StartsWith("ended", StringComparison.Ordinal)) cycle = (0.8 * cycle) + (0.2 * sinceStart.ElapsedMilliseconds);
                }
            });
            reader.Start();
            Assert.True(now.Wait(s_limit, TestContext.Current.CancellationToken), $"{at} was not reached");
            process.WaitForExit(delay); // it does not end by itself
            process.Kill();
            process.WaitForExit();
            reader.Join();
            string moment = ledger.At;
            moment += ledger.AssertHolds(Files, Config) ? " (after)" : " (before)";
            moments[moment] = moments.GetValueOrDefault(moment) + 1;
            AssertNothingLeft(ledger);
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{kills} kills, {ledger.Reboots} reboots, {ledger.Kept.Count} records; "
            + string.Join(", ", moments.OrderBy(one => one.Key, StringComparer.Ordinal).Select(one => $"{one.Key}: {one.Value}")));
        Assert.NotEmpty(ledger.Kept);
    }

    /// <summary>Inside a pause nothing can be called from outside; a file system that is frozen holds the instance up there.</summary>
    [Theory]
    [InlineData("Fork", false)] // with a request at work: the vCPUs have stopped, nothing is saved
    [InlineData("Switch", false)] // the same, before the rename
    [InlineData("Switch-quiet", true)] // in the rename, which happens; the folder is not synced
    public void Killed_inside_a_pause(string stop, bool after)
    {
        string image = Path.Combine(_root, "image"), mount = Path.Combine(_root, "mount");
        using (FileStream file = File.Create(image)) file.SetLength(256 << 20);
        HostFaults.Do("mkfs.ext4", "-q", image);
        Directory.CreateDirectory(mount);
        HostFaults.Do("mount", "-o", "loop", image, mount);
        try
        {
            KillLedger ledger = new();
            using KilledInstance killed = KilledInstance.Start(mount, ledger.First, stop);
            Process process = killed.Process;
            string line = "";
            while (line != "stopped") ledger.Hear(line = process.StandardOutput.ReadLine() ?? throw new EndOfStreamException());
            using (HostFaults.Freeze(mount))
            {
                process.StandardInput.WriteLine("go on");
                process.StandardInput.Flush();
                WaitStuck(process.Id);
                process.Kill();
            }

            while (process.StandardOutput.ReadLine() is { } rest) ledger.Hear(rest);
            process.WaitForExit();
            InstanceDirectory files = new(Path.Combine(mount, "instance"));
            Assert.Equal(after, ledger.AssertHolds(files, ConfigIn(mount)));
            AssertNothingLeft(ledger);

            using TestInstance again = new('Z', mount);
            again.Ask('v', "<Z>");
            AssertSwept();
            Assert.True(again.Record(ledger.Last + 1));
        }
        finally
        {
            HostFaults.Do("umount", mount);
        }
    }

    private InstanceDirectory Files => new(Path.Combine(_root, "instance"));

    private InstanceConfig Config => ConfigIn(_root);

    private static InstanceConfig ConfigIn(string root) => new(
        "tiny",
        [
            new DiskConfig(Path.Combine(root, "system0.img"), "raw", ReadOnly: false),
            new DiskConfig(Path.Combine(root, "data.img"), "raw", ReadOnly: false, Persistent: true),
        ],
        Path.Combine(root, "kernel"), Initrd: null, CommandLine: "", TestInstance.MemoryMiB, Cpus: 1, InstanceConfig.DefaultReadyPattern);

    /// <summary>Waits until all vCPUs are parked and a thread waits in the kernel for the frozen file system.</summary>
    private static void WaitStuck(int pid)
    {
        bool IsStuck()
        {
            try
            {
                (string Name, char State)[] threads = [.. Directory.EnumerateDirectories($"/proc/{pid}/task").Select(task =>
                {
                    // proc_pid_stat(5): the name, in parentheses, then the state.
                    string stat = File.ReadAllText(Path.Combine(task, "stat"));
                    int end = stat.LastIndexOf(')');
                    return (stat[(stat.IndexOf('(', StringComparison.Ordinal) + 1)..end], stat[end + 2]);
                })];
                return threads.Any(thread => thread.State == 'D')
                    && threads.All(thread => !thread.Name.StartsWith("vcpu", StringComparison.Ordinal) || thread.State == 'S');
            }
            catch (IOException)
            {
                return false; // a thread has ended meanwhile: it is not stuck yet
            }
        }

        int seen = 0;
        Assert.True(SpinWait.SpinUntil(() => (seen = IsStuck() ? seen + 1 : 0) >= 20, s_limit), "the instance did not get stuck");
    }

    private void AssertNothingLeft(KillLedger ledger)
    {
        foreach (int shadow in ledger.Shadows.Distinct())
        {
            Assert.True(SpinWait.SpinUntil(() => IsGone(shadow), s_limit), $"the shadow {shadow} is still there");
        }

        _gone.AddRange(ledger.Shadows);
        ledger.Shadows.Clear();
    }

    /// <summary>What the cgroups of the killed instances' shadows left has gone with the start that followed.</summary>
    private void AssertSwept() => Assert.True(
        SpinWait.SpinUntil(
            () => !_gone.SelectMany(shadow => ShadowGroups.Find(new IsolationHost(), $"bgkvm-tiny-shadow-{shadow}")).Any(), s_limit),
        "a shadow's cgroup is still there");

    // Whoever adopted it may not have waited for it yet.
    private static bool IsGone(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')') + 2] == 'Z';
        }
        catch (IOException)
        {
            return true;
        }
    }
}
