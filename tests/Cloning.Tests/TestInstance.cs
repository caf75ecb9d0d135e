using System.Buffers.Binary;
using Cloning.Instances;
using Cloning.Isolation;
using Cloning.Shadow;
using Microsoft.Extensions.Logging.Abstractions;
using TestKit.Guests;
using Xunit;

namespace Cloning.Tests;

/// <summary>A real instance on this host's /dev/kvm that runs <see cref="TinyOs"/>, in a directory of its own.</summary>
internal sealed class TestInstance : IDisposable
{
    public const int MemoryMiB = 16, DiskBytes = 64 << 20;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(180);
    private readonly string _root;
    private readonly bool _keep;
    private bool _disposed;
    private readonly MemoryStream _output = new();
    private readonly IDisposable _attachment;

    /// <summary>Starts one.</summary>
    /// <param name="version">Of the kernel it boots.</param>
    /// <param name="folder">Where it lives; with disks there, it is started again. Null: in a folder that goes with it.</param>
    /// <param name="configure">Changes its configuration.</param>
    /// <param name="boot">What that kernel does.</param>
    /// <param name="systemDisksBefore">Empty system disks that the guest sees before the persistent one.</param>
    public TestInstance(
        char version = '1',
        string? folder = null,
        Func<InstanceConfig, InstanceConfig>? configure = null,
        int systemDisksBefore = 1,
        TinyOsBoot boot = TinyOsBoot.Normally)
    {
        _keep = folder is not null;
        _root = folder ?? Directory.CreateTempSubdirectory("bgkvm-test-").FullName;
        // The shadow is another process of the product itself, not of the test runner.
        ShadowHandle.Executable = Path.Combine(AppContext.BaseDirectory, "bgkvm-under-test", "bgkvm");
        Install(version, boot);
        DiskConfig[] system = [.. Enumerable.Range(0, Math.Max(1, systemDisksBefore))
            .Select(i => new DiskConfig(Image($"system{i}.img", DiskBytes), "raw", ReadOnly: false))];
        DiskConfig persistent = new(Image("data.img", DiskBytes + (2 << 20)), "raw", ReadOnly: false, Persistent: true);
        InstanceDirectory directory = new(Directory.CreateDirectory(In("instance")).FullName);
        Config = new InstanceConfig(
            "tiny", systemDisksBefore == 0 ? [persistent, .. system] : [.. system, persistent],
            In("kernel"), Initrd: null, CommandLine: "", MemoryMiB, Cpus: 1, InstanceConfig.DefaultReadyPattern);
        if (configure is not null) Config = configure(Config);
        Instance = Instance.Open(directory, Config, NullLoggerFactory.Instance);
        _attachment = Instance.Console.Attach(Collect, replay: 0);
        Instance.Start();
        WaitFor("login: ");
    }

    public InstanceConfig Config { get; }
    public Instance Instance { get; }
    public InstanceDirectory Files => Instance.Directory;
    public string Root => _root;

    /// <summary>Puts a kernel where the instance boots from.</summary>
    public void Install(char version, TinyOsBoot boot = TinyOsBoot.Normally) =>
        File.WriteAllBytes(In("kernel"), TinyOs.Kernel(version, (ulong)MemoryMiB << 20, boot));

    /// <summary>Sends a command and waits for its answer.</summary>
    public void Ask(char command, string answer)
    {
        lock (_output) _output.SetLength(0);
        Instance.Console.Write([(byte)command]);
        WaitFor(answer);
    }

    /// <summary>Has the guest write a sector of that number to both disks and flush them.</summary>
    /// <returns>Whether it did: what it wrote is durable then.</returns>
    public bool Record(ulong number) => TryRecord(number, s_limit) ?? throw new TimeoutException($"record {number} was not answered");

    /// <summary>The same, with a limit.</summary>
    /// <returns>Null when the guest did not answer.</returns>
    public bool? TryRecord(ulong number, TimeSpan limit)
    {
        byte[] text = new byte[1 + sizeof(ulong)];
        text[0] = (byte)'w';
        BinaryPrimitives.WriteUInt64LittleEndian(text.AsSpan(1), number);
        lock (_output) _output.SetLength(0);
        Instance.Console.Write(text);
        bool done = false, failed = false;
        bool answered = TryWaitUntil(
            () =>
            {
                ReadOnlySpan<byte> output = _output.GetBuffer().AsSpan(0, (int)_output.Length);
                done = output.IndexOf(text) >= 0;
                failed = output.IndexOf((byte)'e') >= 0 && output.IndexOf((byte)'w') < 0;
                return done || failed;
            },
            limit);
        return answered ? done : null;
    }

    /// <summary>How often the guest has gone round its loop.</summary>
    public ulong Rounds()
    {
        lock (_output) _output.SetLength(0);
        Instance.Console.Write("n"u8);
        WaitUntil(() => _output.Length >= sizeof(ulong), "eight bytes");
        lock (_output) return BinaryPrimitives.ReadUInt64LittleEndian(_output.GetBuffer());
    }

    public Task<RebootReport> RebootInBackground(TimeSpan? timeout = null) => Reboot(RebootMode.Background, timeout);

    public Task<RebootReport> Reboot(
        RebootMode mode,
        TimeSpan? timeout = null,
        string? keepDiscarded = null,
        QuiesceMode quiesce = QuiesceMode.None,
        TimeSpan? shutdownTimeout = null) =>
        Instance.RebootAsync(
            new RebootRequest(mode, ShutdownMode.Clean, quiesce, timeout ?? s_limit, keepDiscarded,
                // Most tests are not about leaving the host to others, and other tests run beside them.
                RebootPriority.Normal, ShutdownTimeout: shutdownTimeout),
            new Progress(this), TestContext.Current.CancellationToken);

    /// <summary>Told of every phase of a reboot.</summary>
    public Action<RebootPhase>? Entered { get; set; }

    /// <summary>What the phases of the last reboot came with.</summary>
    public List<string> Details { get; } = [];

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        _attachment.Dispose();
        Instance.Dispose();
        if (!_keep) Directory.Delete(_root, recursive: true);
    }

    public void WaitFor(string text) =>
        WaitUntil(() => System.Text.Encoding.Latin1.GetString(_output.ToArray()).Contains(text, StringComparison.Ordinal), text);

    private void WaitUntil(Func<bool> condition, string what)
    {
        if (TryWaitUntil(condition, s_limit)) return;
        lock (_output)
        {
            throw new TimeoutException(
                $"The guest did not print '{what}' but: {System.Text.Encoding.Latin1.GetString(_output.ToArray())}");
        }
    }

    private bool TryWaitUntil(Func<bool> condition, TimeSpan limit)
    {
        long end = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        lock (_output)
        {
            while (!condition())
            {
                int left = (int)(end - Environment.TickCount64);
                if (left <= 0) return false;
                Monitor.Wait(_output, left);
            }

            return true;
        }
    }

    private string Image(string name, long bytes)
    {
        using FileStream file = new(In(name), FileMode.OpenOrCreate);
        file.SetLength(bytes);
        return file.Name;
    }

    private string In(string file) => Path.Combine(_root, file);

    private void Collect(ReadOnlyMemory<byte> output)
    {
        lock (_output)
        {
            _output.Write(output.Span);
            Monitor.PulseAll(_output);
        }
    }

    // Not System.Progress, which calls back later and on another thread.
    private sealed class Progress(TestInstance guest) : IProgress<RebootProgress>
    {
        public void Report(RebootProgress value)
        {
            if (value.Detail is not null) guest.Details.Add($"{value.Phase}: {value.Detail}");
            guest.Entered?.Invoke(value.Phase);
        }
    }
}
