namespace Cloning.Instances;

/// <summary>Follows an operating system from its first instruction until it is up, or until its console shows that it will not be.</summary>
/// <remarks>
/// It is up when its console shows the ready pattern or it says <c>ready</c> on the guest channel. One that has said hello there knows
/// better than its login prompt: the default pattern gives way to it. Where there is a ready command, that alone decides.
/// </remarks>
public sealed class BootWatch : IDisposable
{
    private readonly ReadyWatch? _pattern;
    private readonly ReadyWatch _failure;
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task[] _signs;

    /// <summary>Watches for failures alone; <see cref="CountAsReady"/> is the only sign of success.</summary>
    /// <param name="console">Whose output.</param>
    public BootWatch(IConsole console) : this(console, pattern: null, channel: null)
    {
    }

    private BootWatch(IConsole console, ReadyWatch? pattern, GuestChannel? channel)
    {
        // Attached after the pattern: what the user takes for a sign of success is one, even where it says "emergency mode".
        _pattern = pattern;
        _signs = [.. new[] { _told.Task, pattern?.Ready, channel?.Ready }.OfType<Task>()];
        // What an OS that is up prints is not searched any more.
        _failure = new ReadyWatch(console, BootFailure.Pattern, () => IsReady);
        Ready = Task.WhenAny(_signs);
    }

    /// <summary>Completes when the OS is up.</summary>
    public Task Ready { get; }

    /// <summary>Whether the OS is up, which counts also where it has given up later.</summary>
    public bool IsReady => _signs.Any(sign => sign.IsCompleted);

    /// <summary>Completes when the console shows that the OS has given up.</summary>
    public Task Failed => _failure.Ready;

    /// <summary>How the OS has given up, so that "the OS ..." is a sentence; null when it has not.</summary>
    public string? Failure => Failed.IsCompleted ? BootFailure.Describe(_failure.Ready.Result) : null;

    /// <summary>What the guest printed on its last, unfinished line: normally the login prompt.</summary>
    public string LastLine => _failure.LastLine;

    /// <summary>The last lines that the guest printed, oldest first; where it has given up, those that say so.</summary>
    public IReadOnlyList<string> LastLines => ConsoleTail.Of(Failed.IsCompleted ? _failure.Ready.Result : _failure.Tail);

    /// <summary>Watches for what an instance is configured to wait for.</summary>
    /// <exception cref="InstanceException">The pattern is not usable.</exception>
    public static BootWatch For(InstanceConfig config, ConsoleHub hub)
    {
        if (config.ReadyCommand is not null) return new BootWatch(hub);
        Func<bool>? announced = config.ReadyPattern == InstanceConfig.DefaultReadyPattern ? () => hub.Channel.Announced : null;
        return new BootWatch(hub, new ReadyWatch(hub, ReadyWatch.Parse(config.ReadyPattern), announced), hub.Channel);
    }

    /// <summary>The OS is up, by another sign than those it gives itself.</summary>
    public void CountAsReady() => _told.TrySetResult();

    /// <summary>Stops watching.</summary>
    public void Dispose()
    {
        _pattern?.Dispose();
        _failure.Dispose();
    }
}
