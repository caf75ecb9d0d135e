using Cloning.Instances;
using Microsoft.Extensions.Logging;

namespace Bgkvm.Tests.Fakes;

/// <summary>
/// An instance without a machine. Words in its kernel command line make it misbehave: <c>refuse</c>, <c>lack</c> and <c>crash</c>
/// at its start, <c>stubborn</c> at the power button, <c>abort</c>, <c>busy</c>, <c>fail</c> and <c>late-fail</c> at a reboot, which
/// <c>hold</c> makes wait for "go" on the console. "poweroff" there ends it, "die" breaks it.
/// </summary>
internal sealed class FakeInstance : IInstance
{
    private readonly InstanceConfig _config;
    private readonly DateTimeOffset _startedAt = DateTimeOffset.UtcNow;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private RebootReport? _last;
    private int _generation;

    public FakeInstance(InstanceConfig config)
    {
        _config = config;
        FakeConsole.Typed += Obey;
        FakeConsole.Print("fake boot\r\nlogin: ");
    }

    public FakeConsole FakeConsole { get; } = new();

    public IConsole Console => FakeConsole;

    public Task Completion => _completion.Task;

    public RebootRequest? LastRequest { get; private set; }

    public Task Rebooted => _rebooted.Task;

    private readonly TaskCompletionSource _rebooted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>An <see cref="Bgkvm.Hosting.InstanceFactory"/>.</summary>
    public static IInstance Start(InstanceDirectory directory, InstanceConfig config, ILoggerFactory logs)
    {
        if (Says(config, "refuse")) throw new InstanceException($"the kernel {config.Kernel} is no kernel");
        if (Says(config, "lack")) throw new InstanceException("this host has no time for this", exitCode: 4);
        if (Says(config, "crash")) Environment.Exit(9);
        File.WriteAllText(directory.Manifest, "{}");
        return new FakeInstance(config);
    }

    public static InstanceConfig Config(string commandLine = "") =>
        new("demo", [], "/boot/vmlinuz", null, commandLine, 512, 1, InstanceConfig.DefaultReadyPattern);

    public InstanceStatus Status() => new(
        _config.Name, InstanceState.Running, Environment.ProcessId, _startedAt, _generation, _config.MemoryMiB, _config.Cpus,
        null, null, 2, _last);

    public async Task<RebootReport> RebootAsync(
        RebootRequest request, IProgress<RebootProgress> progress, CancellationToken cancellation)
    {
        LastRequest = request;
        if (Says(_config, "busy")) throw new InstanceBusyException("demo is being rebooted already");
        if (Says(_config, "fail")) throw new InstanceException("no memory for a shadow", exitCode: 4);
        progress.Report(new(RebootPhase.Prepare, 1, null));
        progress.Report(new(RebootPhase.Fork, 20, "clone pause 0.4 ms"));
        if (Says(_config, "late-fail")) throw new InvalidOperationException("the fork broke");
        if (Says(_config, "hold")) await _go.Task;
        bool aborted = Says(_config, "abort"), inPlace = request.Mode == RebootMode.InPlace;
        progress.Report(new(RebootPhase.Boot, 30, null));
        _last = new RebootReport(
            request.Mode,
            aborted ? RebootOutcome.Aborted : inPlace ? RebootOutcome.Rebooted : RebootOutcome.Switched,
            aborted ? "the rebooted OS was not ready in time" : null,
            400, 100, 1500, inPlace ? 2_500_000 : 2000, 900, 4200, 5300, 4096, _config.MemoryMiB);
        _generation++;
        _rebooted.TrySetResult();
        return _last;
    }

    public async Task<bool> StopAsync(bool force, TimeSpan timeout)
    {
        await Task.Yield();
        if (!force && Says(_config, "stubborn")) return false;
        FakeConsole.Print("Power down\r\n");
        _completion.TrySetResult();
        return true;
    }

    private static bool Says(InstanceConfig config, string word) => config.CommandLine.Split(' ').Contains(word);

    private void Obey(string typed)
    {
        if (typed.Contains("go", StringComparison.Ordinal)) _go.TrySetResult();
        if (typed.Contains("poweroff", StringComparison.Ordinal)) _ = StopAsync(true, TimeSpan.Zero);
        if (typed.Contains("die", StringComparison.Ordinal))
            _completion.TrySetException(new InvalidOperationException("the machine broke"));
    }
}
