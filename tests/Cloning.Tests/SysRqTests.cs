using Cloning.Instances;
using Cloning.Switch;
using Xunit;

namespace Cloning.Tests;

/// <summary>What counts as a kernel's answer. The kernel is simulated: a test prints what one would.</summary>
public sealed class SysRqTests : IDisposable
{
    private const long Ever = 60_000;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);
    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-sysrq-").FullName;
    private readonly ManualResetEventSlim _looked = new();
    private readonly ConsoleHub _console;
    private readonly SysRq _kernel;
    private volatile bool _atWork = true;

    public SysRqTests()
    {
        _console = new ConsoleHub(Path.Combine(_folder, "log"));
        _kernel = new SysRq(
            _console,
            () =>
            {
                _looked.Set();
                return (0, _atWork);
            });
    }

    public void Dispose()
    {
        _console.Dispose();
        _looked.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_sync_that_ends_late_is_no_answer_to_the_remount()
    {
        Task<SysRq.Answer> remount = Begin(() => _kernel.Remount(Ever));
        Print("Emergency Sync complete\n");
        Print("sysrq: Emergency Remount R/O\n");
        AwaitLook();
        Assert.False(remount.IsCompleted);
        Print("Emergency Remount complete\n");
        Assert.Equal(SysRq.Answer.Done, Ended(remount));
    }

    [Fact]
    public void A_kernel_that_refuses_is_believed()
    {
        Task<SysRq.Answer> sync = Begin(() => _kernel.Sync(Ever, CancellationToken.None));
        Print("This sysrq operation is disabled.\n");
        Assert.Equal(SysRq.Answer.Disabled, Ended(sync));
    }

    [Fact]
    public void A_kernel_that_takes_its_time_to_refuse_is_believed()
    {
        _atWork = false; // its disks are at rest, which is no answer
        Task<SysRq.Answer> remount = Begin(() => _kernel.Remount(Ever));
        Thread.Sleep(300); // longer than disks have to rest to count as such
        Assert.False(remount.IsCompleted);
        Print("Emergency Sync complete\n");
        Print("[   19.538508] sysrq: This sysrq operation is disabled.\r\n");
        Assert.Equal(SysRq.Answer.Disabled, Ended(remount));
    }

    [Fact]
    public void A_log_level_that_is_refused_is_no_answer_to_the_remount()
    {
        Task<SysRq.Answer> level = Begin(() => _kernel.SetLogLevel(Ever, CancellationToken.None));
        Print("sysrq: This sysrq operation is disabled.\n");
        Assert.Equal(SysRq.Answer.Disabled, Ended(level));
        Task<SysRq.Answer> remount = Begin(() => _kernel.Remount(Ever));
        Print("sysrq: Emergency Remount R/O\nEmergency Remount complete\n");
        Assert.Equal(SysRq.Answer.Done, Ended(remount));
    }

    [Fact]
    public void A_kernel_that_says_no_more_than_that_it_has_heard_is_done_when_its_disks_have_come_to_rest()
    {
        Task<SysRq.Answer> sync = Begin(() => _kernel.Sync(Ever, CancellationToken.None));
        Print("sysrq: Emergency Sync\n");
        AwaitLook();
        Assert.False(sync.IsCompleted);
        _atWork = false;
        Assert.Equal(SysRq.Answer.Done, Ended(sync));
    }

    [Fact]
    public void Disks_that_never_rest_are_not_waited_for_longer_than_the_limit()
    {
        Task<SysRq.Answer> sync = Begin(() => _kernel.Sync(limitMillis: 2000, CancellationToken.None));
        Print("sysrq: Emergency Sync\n");
        Assert.Equal(SysRq.Answer.Late, Ended(sync));
    }

    [Fact]
    public void One_that_does_not_hear_it_has_not_done_it()
    {
        _atWork = false;
        Assert.Equal(SysRq.Answer.None, _kernel.Sync(limitMillis: 50, CancellationToken.None));
    }

    private Task<SysRq.Answer> Begin(Func<SysRq.Answer> command)
    {
        _looked.Reset();
        Task<SysRq.Answer> answer = Task.Factory.StartNew(command, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.True(_looked.Wait(s_limit)); // before it sends anything
        return answer;
    }

    /// <summary>Waits until it has looked for an answer once more.</summary>
    private void AwaitLook()
    {
        _looked.Reset();
        Assert.True(_looked.Wait(s_limit));
        _looked.Reset();
        Assert.True(_looked.Wait(s_limit));
    }

    private void Print(string text)
    {
        _console.Print(System.Text.Encoding.ASCII.GetBytes(text));
        _console.Drain();
    }

    private static SysRq.Answer Ended(Task<SysRq.Answer> answer)
    {
        Assert.True(answer.Wait(s_limit));
        return answer.Result;
    }
}
