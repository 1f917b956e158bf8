<?php
// Publishes an event: php publish.php http://localhost:3000

$event = ['topic' => 'orders/42', 'event' => 'paid', 'data' => ['total' => 99], 'id' => 'payment-1'];
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'content-type: application/json',
    'content' => json_encode($event),
]]);
$answer = file_get_contents("{$argv[1]}/publish", false, $context);
if ($answer === false) exit(1);
echo json_decode($answer)->id, "\n";
