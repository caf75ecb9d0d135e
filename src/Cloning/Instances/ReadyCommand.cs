using System.ComponentModel;
using System.Diagnostics;

namespace Cloning.Instances;

/// <summary>Asks a command on the host whether an operating system is up, until it says yes (docs/man/bgkvm.1, READY COMMAND).</summary>
/// <remarks>It runs as a child of the instance's process, never of the shadow's: the answer must not wait for left-over time.</remarks>
internal sealed class ReadyCommand : IDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1), s_limit = TimeSpan.FromSeconds(30);

    private readonly InstanceConfig _config;
    private readonly InstanceDirectory _directory;
    private readonly bool _inShadow;
    private readonly long _logStart;
    private readonly Action _ready;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _asking;

    private ReadyCommand(InstanceConfig config, InstanceDirectory directory, bool inShadow, long logStart, Action ready)
    {
        (_config, _directory, _inShadow, _logStart, _ready) = (config, directory, inShadow, logStart, ready);
        _asking = Task.Run(AskAsync);
    }

    /// <summary>What came of it when it was last asked, so that "the command ..." is a sentence; null before the first answer.</summary>
    public string? LastAnswer { get; private set; }

    /// <summary>Begins to ask.</summary>
    /// <param name="config">The instance.</param>
    /// <param name="directory">Where it lives.</param>
    /// <param name="inShadow">Whether the OS is the one that boots in the background.</param>
    /// <param name="logStart">Where in its console log its output begins, bytes.</param>
    /// <param name="ready">Told, once, that the OS is up.</param>
    /// <returns>Null where the configuration has no such command.</returns>
    public static ReadyCommand? Of(InstanceConfig config, InstanceDirectory directory, bool inShadow, long logStart, Action ready) =>
        config.ReadyCommand is null ? null : new ReadyCommand(config, directory, inShadow, logStart, ready);

    /// <summary>Asks no more; ends a command that is still at it, with all that it has started.</summary>
    public void Dispose()
    {
        _end.Cancel();
        _asking.Wait();
        _end.Dispose();
    }

    private async Task AskAsync()
    {
        try
        {
            for (int attempt = 1; ; attempt++)
            {
                LastAnswer = await RunAsync(attempt).ConfigureAwait(false);
                if (LastAnswer is null) break;
                await Task.Delay(s_interval, _end.Token).ConfigureAwait(false);
            }

            _ready();
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>Asks once.</summary>
    /// <returns>Null for yes, else how it failed.</returns>
    private async Task<string?> RunAsync(int attempt)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(s_limit);
        using Process? process = TryStart(attempt, out string? refusal);
        if (process is null) return refusal;
        try
        {
            await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            return process.ExitCode == 0 ? null : $"last failed with exit status {process.ExitCode}";
        }
        catch (OperationCanceledException) when (!_end.IsCancellationRequested)
        {
            return $"last took longer than {s_limit.TotalSeconds:0} s";
        }
        finally
        {
            End(process);
        }
    }

    private static void End(Process process)
    {
        try
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It, or what it has started, ended meanwhile.
        }
    }

    private Process? TryStart(int attempt, out string? refusal)
    {
        // The shell opens the log itself: its size is one attempt's output, and nothing here has to read along.
        ProcessStartInfo start = new("/bin/sh", ["-c", "exec </dev/null >\"$0\" 2>&1; eval \"$1\"", _directory.ReadyLog, _config.ReadyCommand!])
        {
            UseShellExecute = false,
            WorkingDirectory = "/",
        };
        start.Environment["BGKVM_NAME"] = _config.Name;
        start.Environment["BGKVM_BOOT"] = _inShadow ? "shadow" : "instance";
        start.Environment["BGKVM_CONSOLE"] = _inShadow ? _directory.ShadowConsoleSocket : _directory.ConsoleSocket;
        start.Environment["BGKVM_CONSOLE_LOG"] = _inShadow ? _directory.ShadowLog : _directory.ConsoleLog;
        start.Environment["BGKVM_CONSOLE_START"] = (_logStart + 1).ToString(provider: null);
        start.Environment["BGKVM_ATTEMPT"] = attempt.ToString(provider: null);
        try
        {
            refusal = null;
            return ChildProcess.Start(start);
        }
        catch (Win32Exception e)
        {
            refusal = $"last could not be started: {e.Message}";
            return null;
        }
    }
}
