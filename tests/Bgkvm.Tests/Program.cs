using Bgkvm;
using Bgkvm.Tests;
using Bgkvm.Tests.Fakes;

// One executable, two lives: the tests, and a bgkvm that runs a fake instance, for the tests to start as a process.
return Environment.GetEnvironmentVariable(Sandbox.FakeVariable) is not null
    ? Cli.Run(args, FakeInstance.Start)
    : await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(
        args, Bgkvm.Tests.SelfRegisteredExtensions.AddSelfRegisteredExtensions);
