using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Downtime.Qemu;

/// <summary>The QEMU Machine Protocol (qemu.git/docs/interop/qmp-spec), as much of it as a measurement needs. Blocking; one thread.</summary>
internal sealed class QmpClient : IDisposable
{
    private readonly StreamReader _from;
    private readonly StreamWriter _to;
    private readonly Queue<QmpEvent> _events = [];

    /// <summary>Connects to a socket that QEMU listens at, and leaves negotiation behind.</summary>
    internal QmpClient(Socket socket)
    {
        NetworkStream stream = new(socket, ownsSocket: true);
        _from = new StreamReader(stream);
        _to = new StreamWriter(stream) { AutoFlush = true };
        _ = Next(); // the greeting
        Execute("qmp_capabilities");
    }

    /// <summary>Runs a command.</summary>
    /// <param name="command">Its name.</param>
    /// <param name="arguments">A JSON object, or null.</param>
    /// <returns>What it returns.</returns>
    /// <exception cref="InvalidOperationException">QEMU refuses; with its words.</exception>
    internal JsonNode? Execute(string command, JsonObject? arguments = null)
    {
        JsonObject request = new() { ["execute"] = command };
        if (arguments is not null) request["arguments"] = arguments;
        _to.WriteLine(request.ToJsonString());
        while (true)
        {
            JsonNode answer = Next();
            if (answer["error"] is { } error) throw new InvalidOperationException($"QEMU's {command}: {error["desc"]}");
            if (answer["return"] is { } result) return result;
            Keep(answer);
        }
    }

    /// <summary>Waits for an event, and forgets those before it.</summary>
    /// <exception cref="InvalidOperationException">A migration failed meanwhile.</exception>
    internal QmpEvent Await(string name)
    {
        while (true)
        {
            while (_events.TryDequeue(out QmpEvent happened))
            {
                if (happened.Name == name) return happened;
                if (happened.Name == "MIGRATION failed")
                    throw new InvalidOperationException($"QEMU's migration failed: {Execute("query-migrate")?.ToJsonString()}");
            }

            Keep(Next());
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _to.Dispose();
        _from.Dispose();
    }

    private void Keep(JsonNode message)
    {
        if (message["event"]?.GetValue<string>() is not { } name) return;
        if (message["data"]?["status"]?.GetValue<string>() is { } status) name = $"{name} {status}";
        JsonNode time = message["timestamp"]!;
        _events.Enqueue(new QmpEvent(name, (time["seconds"]!.GetValue<long>() * 1_000_000) + time["microseconds"]!.GetValue<long>()));
    }

    private JsonNode Next() => JsonNode.Parse(_from.ReadLine() ?? throw new InvalidOperationException("QEMU has ended"))!;
}
