using System.Text.RegularExpressions;

namespace Cloning.Instances;

/// <summary>Follows an operating system from its first instruction until it is up, or until its console shows that it will not be.</summary>
public sealed class BootWatch : IDisposable
{
    private readonly ReadyWatch? _pattern;
    private readonly ReadyWatch _failure;
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Starts watching.</summary>
    /// <param name="console">Whose output.</param>
    /// <param name="pattern">What it shows when the OS is up, or null when somebody else tells: <see cref="CountAsReady"/>.</param>
    public BootWatch(IConsole console, Regex? pattern)
    {
        // In this order: what the user takes for a sign of success is one, even where it says "emergency mode".
        if (pattern is not null) _pattern = new ReadyWatch(console, pattern);
        _failure = new ReadyWatch(console, BootFailure.Pattern);
        Ready = _pattern is null ? _told.Task : Task.WhenAny(_told.Task, _pattern.Ready);
    }

    /// <summary>Completes when the OS is up.</summary>
    public Task Ready { get; }

    /// <summary>Whether the OS is up, which counts also where it has given up later.</summary>
    public bool IsReady => _told.Task.IsCompleted || _pattern is { Ready.IsCompleted: true };

    /// <summary>Completes when the console shows that the OS has given up.</summary>
    public Task Failed => _failure.Ready;

    /// <summary>How the OS has given up, so that "the OS ..." is a sentence; null when it has not.</summary>
    public string? Failure => Failed.IsCompleted ? BootFailure.Describe(_failure.Ready.Result) : null;

    /// <summary>What the guest printed on its last, unfinished line: normally the login prompt.</summary>
    public string LastLine => _failure.LastLine;

    /// <summary>The last lines that the guest printed, oldest first; where it has given up, those that say so.</summary>
    public IReadOnlyList<string> LastLines => ConsoleTail.Of(Failed.IsCompleted ? _failure.Ready.Result : _failure.Tail);

    /// <summary>The OS is up, by another sign than the pattern.</summary>
    public void CountAsReady() => _told.TrySetResult();

    /// <summary>Stops watching.</summary>
    public void Dispose()
    {
        _pattern?.Dispose();
        _failure.Dispose();
    }
}
