using System.Net.Sockets;
using System.Text;

namespace Bgkvm.Hosting;

/// <summary>The service manager that has started this process, if there is one (sd_notify(3)): one datagram for each thing it is told.</summary>
internal static class ServiceManager
{
    private const string Variable = "NOTIFY_SOCKET";

    /// <summary>Tells it that the service is up.</summary>
    public static void TellReady() => Tell("READY=1");

    /// <summary>Tells it that the service is about to end.</summary>
    public static void TellStopping() => Tell("STOPPING=1");

    private static void Tell(string state)
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 1 } path) return;
        using Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        try
        {
            // A leading @ stands for the abstract namespace's leading zero.
            socket.SendTo(Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path));
        }
        catch (SocketException)
        {
            // A manager that does not listen is none of the guest's business.
        }
    }
}
