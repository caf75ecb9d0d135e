using System.Net.Sockets;
using System.Runtime.InteropServices;
using Bgkvm.Control;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Consoles;

/// <summary>A user's stay at an instance's console, on a terminal or in a pipe.</summary>
internal sealed class ConsoleSession
{
    private const int ChunkBytes = 16 * 1024, MenuMillis = 1000;

    private readonly InstanceDirectory _directory;
    private readonly Socket _socket;
    private readonly bool _onTerminal;
    private readonly TaskCompletionSource<int> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ConsoleSession(InstanceDirectory directory, Socket socket, bool onTerminal)
    {
        _directory = directory;
        _socket = socket;
        _onTerminal = onTerminal;
    }

    /// <summary>Attaches until the user detaches, stdin ends, or the instance does.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="InstanceException">Nobody listens there.</exception>
    public static async Task<int> RunAsync(InstanceDirectory directory)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.ConsoleSocket));
        }
        catch (SocketException e)
        {
            throw new InstanceException($"{directory.Name} has no console: it is starting up or ending", inner: e);
        }

        bool onTerminal = Posix.isatty(0) == 1;
        if (onTerminal) Say($"[{directory.Name}: Ctrl-] detaches, Ctrl-] b sends BREAK]");
        using RawTerminal? raw = RawTerminal.Enter();
        ConsoleSession session = new(directory, socket, onTerminal);
        PosixSignal[] deadly = [PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGINT, PosixSignal.SIGQUIT];
        PosixSignalRegistration[] signals = [.. deadly.Select(signal => PosixSignalRegistration.Create(signal, session.EndBySignal))];
        new Thread(session.CopyInput) { IsBackground = true, Name = "input" }.Start();
        new Thread(session.CopyOutput) { IsBackground = true, Name = "output" }.Start();
        int exitCode = await session._end.Task;
        raw?.Dispose();
        foreach (PosixSignalRegistration signal in signals) signal.Dispose();
        return exitCode;
    }

    private static void Say(string line) => Console.Error.Write(line + "\r\n");

    private void EndBySignal(PosixSignalContext context)
    {
        context.Cancel = true;
        _end.TrySetResult(128 + context.Signal switch
        {
            PosixSignal.SIGHUP => 1,
            PosixSignal.SIGINT => 2,
            PosixSignal.SIGQUIT => 3,
            _ => 15,
        });
    }

    private void CopyOutput()
    {
        byte[] buffer = new byte[ChunkBytes];
        try
        {
            while (_socket.Receive(buffer) is > 0 and int count)
                if (!StandardStreams.Write(buffer.AsSpan(0, count))) break;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The instance's process was killed, or we have detached.
        }

        if (_end.TrySetResult(ExitCode.Done) && _onTerminal) Say($"\r\n[{_directory.Name} has ended]");
    }

    private void CopyInput()
    {
        byte[] buffer = new byte[ChunkBytes];
        EscapeKey escape = new();
        try
        {
            while (StandardStreams.Read(buffer) is > 0 and int count)
            {
                if (Forward(escape, buffer.AsSpan(0, count)) && (!escape.Pending || BreakFollows())) continue;
                if (_end.TrySetResult(ExitCode.Done) && _onTerminal)
                    Say($"\r\n[detached; bgkvm console {_directory.Name} attaches again]");
                return;
            }

            // Everything has been sent. The other side answers with what it still has, and closes.
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InstanceException)
        {
            // The instance is ending; the output side sees it, too.
        }
    }

    /// <summary>Sends what was typed.</summary>
    /// <returns>False when it says to detach.</returns>
    private bool Forward(EscapeKey escape, ReadOnlySpan<byte> typed)
    {
        while (typed.Length > 0)
        {
            EscapeAction action = escape.Scan(typed, out int forGuest, out int taken);
            for (int sent = 0; sent < forGuest;) sent += _socket.Send(typed[sent..forGuest]);
            if (action == EscapeAction.Detach) return false;
            if (action == EscapeAction.Break) SendBreak();
            typed = typed[taken..];
        }

        return true;
    }

    /// <summary>After Ctrl-]: whether another key comes. A person gets time for it; in a pipe it has to be there.</summary>
    private bool BreakFollows()
    {
        if (_onTerminal) Say("\r\n[b sends BREAK, anything else detaches]");
        return StandardStreams.WaitInput(_onTerminal ? MenuMillis : 0);
    }

    private void SendBreak()
    {
        using ControlClient control = new(_directory);
        control.BreakAsync().GetAwaiter().GetResult();
    }
}
